// The share of blocks by mixer, on the front and in all complete trials.

const mixerShare = (() => {
  const PREFIX = "blocks:";

  /** [{mixer, front, all}]: shares of the blocks, the most frequent mixer on the front first. */
  function shares(study) {
    const sum = (trials, column) => { let total = 0; for (const trial of trials) total += column[trial] || 0; return total; };
    const rows = study.fieldsOf("blocks").map(({ key }) => ({ mixer: key.slice(PREFIX.length), front: sum(study.front, study.column(key)), all: sum(study.counted, study.column(key)) }));
    const total = (key) => rows.reduce((blocks, row) => blocks + row[key], 0) || 1, [front, all] = [total("front"), total("all")];
    return rows.map((row) => ({ mixer: row.mixer, front: row.front / front, all: row.all / all })).sort((a, b) => b.front - a.front || b.all - a.all);
  }

  function mount(root, view) {
    const figure = element("div", { class: "figure short" });
    root.append(element("h2", {}, "Mixers of the blocks"), figure);

    function describe() {
      const rows = shares(view.study), x = rows.map(({ mixer }) => format.escaped(mixer));
      const bars = (key, name, colour) => ({ type: "bar", name, x, y: rows.map((row) => 100 * row[key]), marker: { color: colour }, hovertemplate: "%{y:.1f} % of the blocks<extra>%{x}, %{fullData.name}</extra>" });
      return { traces: [bars("front", "front", theme.colour("--accent")), bars("all", "all complete trials", theme.COLOURS[7])], layout: { barmode: "group", xaxis: { type: "category" }, yaxis: { title: "share of blocks (%)", rangemode: "tozero" } } };
    }

    function update({ data }) {
      root.hidden = !view.study.counted.length || !view.study.fieldsOf("blocks").length;
      if (data && !root.hidden) plot.draw(figure, describe, { label: "Share of blocks by mixer on the front and in all complete trials" });
    }

    return { update };
  }

  return { mount };
})();
