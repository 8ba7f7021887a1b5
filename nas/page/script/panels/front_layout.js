// The layout of panel "Front" for plotly, and the sentences around the figure.

const frontLayout = (() => {
  const CAMERA = { eye: { x: 1.5, y: -1.6, z: 0.8 } };

  const axisOf = ({ field, log }) => ({ title: format.escaped(format.heading(field)), type: log ? "log" : "linear" });

  function space({ view }) {
    const style = { color: theme.colour("--soft"), gridcolor: theme.colour("--line"), linecolor: theme.colour("--soft"), showline: true, exponentformat: "SI", showbackground: false };
    const axis = (each) => ({ ...style, ...axisOf(each), title: { text: axisOf(each).title } });
    return { scene: { xaxis: axis(view.x), yaxis: axis(view.y), zaxis: axis(view.z), camera: CAMERA, uirevision: frontView.shownText(view) }, margin: { l: 0, r: 0, t: 0, b: 0 } };
  }

  /** Axes from 0 to 1 across the figure, for lines and marks at its edge. */
  const across = (overlaying) => ({ overlaying, range: [0, 1], fixedrange: true, visible: false });

  function of(scene) {
    const { view, colours } = scene;
    const common = { hoverdistance: 12, ...(colours.kind === "number" ? { coloraxis: colours.axis } : {}) };
    if (view.z) return { ...common, ...space(scene) };
    return {
      ...common, xaxis: axisOf(view.x), yaxis: axisOf(view.y), xaxis2: across("x"), yaxis2: across("y"),
      annotations: frontReferences.annotations(scene), dragmode: "zoom",
    };
  }

  return { of };
})();

/** "12 of 120 trials are within the limits." */
function withinText({ points, rules }) {
  if (!rules.length) return "No limits are set.";
  return `${format.integer(points.within.length)} of ${format.count(points.total, "trial")} with ${rules.map(frontLimits.sentence).join(", ")}.`;
}

/** What the figure leaves out, as sentences. */
function noteText(scene) {
  const { points, view, study } = scene, notes = [];
  if (!study.count) notes.push("The study has no trials yet.");
  else if (!points.total) notes.push("No complete trial has values on these axes yet.");
  if (points.hidden) notes.push(`${format.integer(points.hidden)} of the dominated trials here are close to others and not drawn; zoom in to see them.`);
  if (points.missing) notes.push(`${format.count(points.missing, "trial")} without a value on these axes ${points.missing === 1 ? "is" : "are"} not shown.`);
  if (!view.z && ["failed", "refused"].some((kind) => view.kinds.has(kind))) notes.push("Marks on the lower edge: trials without a value on the vertical axis.");
  if (view.errors && study.noise && study.noise.accuracy && [view.x, view.y].some(({ field }) => field.key === "accuracy"))
    notes.push(`Error bars of the accuracy: one standard deviation of one training, ${format.ratio(study.noise.accuracy)}.`);
  notes.push(frontReferences.beyond(scene));
  return notes.filter(Boolean).join(" ");
}

function figureLabel({ view, points }) {
  const axes = frontView.axes(view).map(({ field }) => field.label).join(" against ");
  return `${axes}: ${format.count(points.total, "trial")}, ${format.integer(points.front.length)} of them on the front`;
}

// What the pointer and the arrow keys tell of a trial.

const frontHover = (() => {
  /** The nodes of the box beside a point. */
  function nodes(page, view, trial) {
    const { study } = page, keys = new Set(study.objectives.map(({ name }) => name));
    for (const key of [...frontView.axes(view).map(({ field }) => field.key), view.colour, view.symbol])
      if (key && key !== "mixer" && key !== "mixers") keys.add(key);
    return [
      element("strong", {}, `Trial ${trial}`), element("span", { class: "state" }, ` ${stateText(study, trial)}`),
      element("div", { class: "mixers" }, study.text("mixers", trial)),
      element("dl", { class: "values" }, ...[...keys].flatMap((key) => [element("dt", {}, study.field(key).label), element("dd", {}, study.text(key, trial))])),
    ];
  }

  function stateText(study, trial) {
    if (study.front.has(trial)) return "on the front";
    if (!study.isCounted(trial) && study.text("state", trial) === "complete") return "outside the study's limits";
    const reason = ["failure", "refused"].map((key) => study.text(key, trial)).find((text) => text !== format.MISSING);
    return study.state(trial) + (reason ? `: ${reason}` : "");
  }

  /** A trial in one sentence. */
  const sentence = (study, trial) => `Trial ${trial}, ${stateText(study, trial)}: ${study.objectives.map(({ name, label }) => `${label} ${study.text(name, trial)}`).join(", ")}`;

  return { nodes, sentence };
})();

const frontKeys = (() => {
  const STEPS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };

  /** The trial that a key goes to along the front, by the horizontal axis; null to end the selection, undefined for other keys. */
  function next(key, { points, selected }) {
    if (key === "Escape") return null;
    const order = [...points.front].sort((a, b) => points.columns[0][a] - points.columns[0][b] || a - b), last = order.length - 1;
    if (last < 0) return undefined;
    if (key === "Home" || key === "End") return order[key === "Home" ? 0 : last];
    if (!(key in STEPS)) return undefined;
    const at = order.indexOf(selected);
    if (at < 0) return order[STEPS[key] > 0 ? 0 : last];
    return order[Math.min(last, Math.max(0, at + STEPS[key]))];
  }

  return { next };
})();
