// The preferences of the front as a map: a row for each stage, a cell for each value, coloured by its odds ratio.

const preferenceMap = (() => {
  const STEPS = 3; // a cell has its full colour from 2 ** STEPS times the odds on, and from the inverse down
  const MORE = "0, 114, 178", LESS = "213, 94, 0";

  function colour({ ratio, all }) {
    if (!all) return "transparent";
    const strength = Math.max(-1, Math.min(1, Math.log2(ratio) / STEPS));
    return `rgba(${strength > 0 ? MORE : LESS}, ${(0.7 * Math.abs(strength)).toFixed(3)})`;
  }

  const times = (ratio) => ratio >= 1 ? `${format.si(ratio)} ×` : `1/${format.si(1 / ratio)} ×`;
  const interval = ({ low, high }) => `${format.si(low)} to ${format.si(high)}`;

  function words(group, row, cell) {
    const where = row.stage === null ? "" : ` in stage ${row.stage + 1}`;
    const counts = `${cell.front} of ${row.front} on the front, ${cell.all} of ${row.total} complete trials`;
    return `${group.name} ${cell.text}${where}: odds ${format.si(cell.ratio)} (95 % interval ${interval(cell)}); ${counts}`;
  }

  function cellOf(group, row, text) {
    const cell = row.cells.find((other) => other.text === text);
    if (!cell || !cell.all) return element("td", { class: "never" }, format.MISSING);
    const node = element("td", { class: preferences.isClear(cell) ? "clear" : null, title: words(group, row, cell) }, times(cell.ratio), element("small", {}, `${cell.front} / ${cell.all}`));
    node.style.background = colour(cell);
    return node;
  }

  /** Draw the maps of `groups` in `root`. A map that is there already keeps its box, so that it stays scrolled. */
  function draw(root, groups) {
    const names = new Set(groups.map(({ name }) => name));
    for (const box of [...root.children]) if (!names.has(box.dataset.name)) box.remove();
    groups.forEach((group, i) => {
      if (!root.children[i] || root.children[i].dataset.name !== group.name)
        root.insertBefore(element("div", { class: "scroll", "data-name": group.name }), root.children[i] || null);
      root.children[i].replaceChildren(map(group));
    });
  }

  /** The map of one parameter over all stages. */
  function map(group) {
    const heads = group.values.map((text) => element("th", { scope: "col" }, text));
    const rows = group.rows.map((row) => element("tr", {},
      element("th", { scope: "row" }, row.stage === null ? "all" : `stage ${row.stage + 1}`),
      ...group.values.map((text) => cellOf(group, row, text)),
    ));
    return element("table", { class: "preferences" },
      element("caption", {}, group.name), element("thead", {}, element("tr", {}, element("td"), ...heads)), element("tbody", {}, ...rows));
  }

  /** All numbers as a plain table. */
  function table(groups) {
    const rows = groups.flatMap((group) => group.rows.flatMap((row) => row.cells.filter(({ all }) => all).map((cell) => [
      group.name, row.stage === null ? format.MISSING : String(row.stage + 1), cell.text, format.integer(cell.front), format.integer(cell.all), format.si(cell.ratio), interval(cell),
    ])));
    return dom.table("Odds ratios of the front against the other complete trials", ["parameter", "stage", "value", "on the front", "complete", "odds ratio", "95 % interval"], rows, [1, 3, 4, 5, 6]);
  }

  function scale() {
    const steps = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8].map((ratio) => {
      const step = element("span", {}, ratio < 1 ? `1/${1 / ratio}` : String(ratio));
      step.style.background = colour({ ratio, all: 1 });
      return step;
    });
    return element("div", { class: "odds-scale", "aria-hidden": "true" }, "rarer on the front", ...steps, "more frequent on the front");
  }

  return { draw, table, scale };
})();
