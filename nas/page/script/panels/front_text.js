// The sentences around the figure of panel "Front".

const frontText = (() => {
  /** "12 of 120 trials are within the limits." */
  function within({ points, rules }) {
    if (!rules.length) return "No limits are set.";
    return `${format.integer(points.within.length)} of ${format.count(points.total, "trial")} with ${rules.map(frontLimits.sentence).join(", ")}.`;
  }

  /** What the figure leaves out, as sentences. */
  function notes(scene) {
    const { points, view, study } = scene, sentences = [];
    if (!study.count) sentences.push("The study has no trials yet.");
    else if (!points.total) sentences.push("No complete trial has values on these axes yet.");
    if (points.hidden) sentences.push(`${format.integer(points.hidden)} of the dominated trials here are close to others and not drawn; zoom in to see them.`);
    if (points.missing) sentences.push(`${format.count(points.missing, "trial")} without a value on these axes ${points.missing === 1 ? "is" : "are"} not shown.`);
    if (!view.z && ["failed", "refused"].some((kind) => view.kinds.has(kind))) sentences.push("Marks on the lower edge: trials without a value on the vertical axis.");
    if (view.errors && study.noise && study.noise.accuracy && [view.x, view.y].some(({ field }) => field.key === "accuracy"))
      sentences.push(`Error bars of the accuracy: one standard deviation of one training, ${format.ratio(study.noise.accuracy)}.`);
    sentences.push(frontExpected.sentence(scene));
    if (!frontPoints.isEmpty(scene)) sentences.push(frontReferences.beyond(scene));
    return sentences.filter(Boolean).join(" ");
  }

  function label({ view, points }) {
    const axes = frontView.axes(view).map(({ field }) => field.label).join(" against ");
    return `${axes}: ${format.count(points.total, "trial")}, ${format.integer(points.front.length)} of them on the front`;
  }

  return { within, notes, label };
})();
