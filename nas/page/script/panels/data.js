// Panel "Data": the images of the study, its settings, versions and machines.

definePanel({
  id: "data",
  title: "Data",
  order: 7,
  mount(root, view) {
    const words = element("div", { class: "lines" }), leaks = element("div"), facts = element("dl", { class: "lines facts-text" }), classes = element("div"), sheet = element("div", { class: "contact-sheet" });
    const settings = element("div");
    root.append(
      element("h2", {}, "Data"), leaks, facts, classes, element("section", { class: "panel-part" }, element("h2", {}, "Training images"), sheet),
      element("section", { class: "panel-part" }, element("h2", {}, "Study"), words), element("section", { class: "panel-part" }, element("h2", {}, "Settings"), settings),
    );
    let shown = "";

    function drawClasses({ classes: rows, splits }) {
      if (!rows.length) return [];
      const cells = rows.map(({ name, counts, share }) => [name, ...counts.map(format.integer), format.percent(share, 1), shareBar(share, rows)]);
      const table = dom.table("Images of each class", ["class", ...splits, "share", ""], cells, splits.map((_, i) => i + 1).concat(splits.length + 1));
      const title = `Images of each class (${rows.length})${imbalance(rows)}`;
      return [element("details", { open: rows.length <= 12 }, element("summary", {}, title), element("div", { class: "scroll" }, table))];
    }

    function shareBar(share, rows) {
      const bar = element("span", { class: "class-share", "aria-hidden": "true" });
      bar.style.width = `${(6 * share / rows.reduce((most, row) => Math.max(most, row.share), 0)).toFixed(2)}rem`;
      return bar;
    }

    /** How many times more images the largest class has than the smallest. */
    function imbalance(rows) {
      const shares = rows.map(({ share }) => share), low = shares.reduce((a, b) => Math.min(a, b)), high = shares.reduce((a, b) => Math.max(a, b));
      if (!low) return ": some have none";
      return high / low < 1.005 ? "" : `: the largest has ${format.si(high / low)} times as many as the smallest`;
    }

    function json(title, value) {
      const text = JSON.stringify(value, null, 2);
      return element("details", {}, element("summary", {}, title), copyButton(() => text), element("pre", { tabindex: "0" }, text));
    }

    async function drawSheet() {
      sheet.replaceChildren(element("p", { class: "about" }, "Being read …"));
      let content = null, failure = "";
      try {
        content = view.source.contactSheet ? await view.source.contactSheet(view.study.key) : null;
      } catch (error) {
        failure = String(error.message || error);
      }
      sheet.replaceChildren(...(content ? strips(content) : [element("p", { class: "about" }, failure ? `Cannot be read: ${failure}` : "The decoded images are missing, so none are shown.")]));
    }

    function strips({ about, strips: rows }) {
      return [element("p", { class: "about" }, about), ...rows.map(({ name, count, shown: number, picture }) => element("figure", {},
        element("figcaption", {}, name, element("span", {}, format.integer(count))),
        picture.startsWith("data:image/") ? element("img", { src: picture, alt: `${format.count(number, "training image")} of class ${name}` }) : null,
      ))];
    }

    function update({ data }) {
      const { meta } = view.study, state = JSON.stringify([meta.lines, meta.config, meta.dataset]);
      if (!data || state === shown) return; // what a reader has opened stays open
      const isFirst = !shown;
      shown = state;
      leaks.replaceChildren(...meta.data.warnings.map((text) => element("p", { class: "warning" }, text)));
      facts.replaceChildren(...meta.data.lines.flatMap(({ label, text }) => [element("dt", {}, label), element("dd", {}, text)]));
      if (!meta.data.lines.length) facts.replaceChildren(element("dd", {}, "The study does not record its data."));
      classes.replaceChildren(...drawClasses(meta.data));
      words.replaceChildren(...meta.lines.map((text) => element("p", {}, text)));
      settings.replaceChildren(json("Configuration", meta.config), json("Description of the data", meta.dataset));
      if (isFirst) drawSheet();
    }

    return { update };
  },
});
