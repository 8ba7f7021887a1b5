// An architecture drawn part by part, from the image to the head, with the share of each part in every cost.

const networkDrawing = (() => {
  const MAX_SLABS = 12; // blocks of a stage that are drawn one by one
  const STAGE_HEIGHT = 110, MAX_SLAB_HEIGHT = 14; // in pixels; many blocks are drawn thinner
  const IMAGE_WIDTH = 30; // per cent
  const COSTS = [["MACs", 0, "MACs"], ["FFT", 1, "FFT operations"], ["params", 2, "parameters"], ["memory", 3, "B of activations in training"]];

  /** What is shared among the parts: [{label, total, values: one for each part, NaN for the image, text(value)}]. */
  function measures(detail) {
    const { parts, predicted_s: predicted = {} } = detail;
    if (!parts.some(({ cost }) => cost)) return [];
    const list = COSTS.map(([label, index, unit]) => ({
      label, values: parts.map(({ cost }) => cost ? cost[index] : NaN), text: (value) => format.si(value, unit),
    }));
    const table = Object.values(predicted)[0];
    if (table) list.push({
      label: "time", values: [NaN, ...table.seconds], text: (value) => `${format.si(1000 * value, "ms")}, predicted for ${format.count(table.batch_size, "image")}`,
    });
    for (const measure of list) measure.total = measure.values.reduce((sum, value) => Number.isNaN(value) ? sum : sum + value, 0);
    return list.filter(({ total }) => total > 0);
  }

  function shareText(share) {
    if (share === 0) return "0 %";
    return share < 0.005 ? "<1 %" : `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
  }

  /** The share of a part in each measure, as bars that are aligned from part to part. */
  function shares(list, index) {
    return element("div", { class: "shares" }, ...list.map(({ label, total, values, text }) => {
      const share = values[index] / total, fill = element("i"), name = `${shareText(share)} of ${label}: ${text(values[index])}`;
      fill.style.width = `${100 * share}%`;
      return element("div", { class: "share", title: name, role: "img", "aria-label": name }, element("span", { class: "share-text" }, shareText(share)), element("span", { class: "share-bar" }, fill));
    }));
  }

  /** The headings of `shares`. */
  const shareHeads = (list) => element("div", { class: "shares heads", "aria-hidden": "true" }, ...list.map(({ label }) => element("span", {}, label)));

  // Silhouette: slabs as wide as the channels ---------------------------------------------------------------------------

  /** Per cent of the drawing's width for `width` channels, by the square root, so that narrow stages stay visible. */
  const widthOf = (width, widest) => 16 + 84 * Math.sqrt(width / widest);

  /** A slab of the stem, or of one of `blocks` blocks in the `colour` of their mixer. */
  function slab(percent, blocks = 0, colour = null) {
    const node = element("span", { class: blocks ? "slab block-slab" : "slab" });
    node.style.width = `${percent}%`;
    if (blocks) node.style.height = `${Math.min(MAX_SLAB_HEIGHT, STAGE_HEIGHT / blocks - 3)}px`;
    if (colour) node.style.setProperty("--slab", colour);
    return node;
  }

  function funnel(before, after) {
    const node = element("span", { class: "funnel" });
    const inset = (percent) => `${(100 - percent) / 2}%`;
    node.style.clipPath = `polygon(${inset(before)} 0, ${100 - (100 - before) / 2}% 0, ${100 - (100 - after) / 2}% 100%, ${inset(after)} 100%)`;
    return node;
  }

  function blocks({ depth = 1 }, percent, colour) {
    const drawn = Math.min(depth, MAX_SLABS);
    return [...Array.from({ length: drawn }, () => slab(percent, drawn, colour)), depth > drawn ? element("span", { class: "more" }, `… ${depth} blocks`) : null];
  }

  /** The left column of a part; `before` is the width of the part before it, `widest` that of the widest part. */
  function silhouette(part, before, widest, colour) {
    const column = (...children) => element("div", { class: "silhouette", "aria-hidden": "true" }, ...children);
    if (part.kind === "image") return column(element("span", { class: "picture" }));
    if (part.kind === "head" || part.width === undefined) return column(element("span", { class: "dot" }));
    const percent = widthOf(part.width, widest);
    if (part.kind === "stem") return column(funnel(IMAGE_WIDTH, percent), slab(percent));
    return column(part.transition ? funnel(widthOf(before, widest), percent) : null, ...blocks(part, percent, colour));
  }

  // Texts ---------------------------------------------------------------------------------------------------------------

  /** A square with sides in proportion to the logarithm of the map's. */
  function mapIcon([height, width], image) {
    const side = (pixels, of) => 4 + 14 * (of > 1 ? Math.log2(pixels) / Math.log2(of) : 1);
    const node = element("span", { class: "map", "aria-hidden": "true" });
    node.style.height = `${side(height, image[0])}px`;
    node.style.width = `${side(width, image[1])}px`;
    return element("span", { class: "map-box" }, node);
  }

  function layer([name, options], depth) {
    return element("div", { class: "layer" }, depth ? element("span", { class: "depth" }, `${depth} ×`) : null, element("b", {}, name), options ? ` ${options}` : null);
  }

  /** "16 × 16 × 32"; empty for a part of an unknown architecture. */
  const shapeText = ({ shape, size, width }) => shape || (size ? [...size, width].join(" × ") : "");

  function texts(part, image) {
    const isStage = part.kind === "stage";
    const title = element("div", { class: "part-title" },
      part.size && part.kind !== "head" ? mapIcon(part.size, image) : null,
      element("b", {}, part.title), element("span", { class: "shape" }, shapeText(part)));
    const layers = (part.layers || []).map((of, i) => layer(of, isStage && i === 0 ? part.depth : null));
    return [
      title,
      part.transition ? element("div", { class: "part-note" }, part.transition) : null,
      isStage ? element("div", { class: "block-layers" }, ...layers) : layers,
      part.notes ? element("div", { class: "part-note" }, part.notes) : null,
    ];
  }

  /** Colours of mixers, the same as in the figures of the study. */
  function mixerColours(study) {
    const field = study.field("mixer");
    return theme.palette(field ? field.codes : []);
  }

  /**
   * The drawing of `detail.parts` (nas/page/parts.py) of a trial of `study`.
   *
   * Each part is a row: its silhouette (slabs as wide as the channels, one for each block, in the colour of the mixer), what it
   * consists of, and its share in each cost.
   */
  function draw(detail, study) {
    const { parts } = detail, palette = mixerColours(study), list = measures(detail);
    const widest = Math.max(...parts.filter(({ kind }) => kind !== "head").map(({ width }) => width || 1));
    const image = parts[0].size || [1, 1];
    let before = null;
    const rows = parts.map((part, index) => {
      const colour = part.mixer && palette.has(part.mixer) ? palette.get(part.mixer).colour : null;
      const row = element("li", { class: `part ${part.kind}` },
        silhouette(part, before, widest, colour),
        element("div", { class: "part-texts" }, ...texts(part, image), list.length ? (index ? shares(list, index) : shareHeads(list)) : null));
      if (colour) row.style.setProperty("--mixer", colour);
      before = part.width === undefined ? null : part.width;
      return row;
    });
    const note = detail.note ? element("p", { class: "about" }, detail.note) : null;
    return element("div", { class: "network" }, note, element("ol", { class: "parts", "aria-label": "Parts of the network" }, ...rows));
  }

  return { draw };
})();
