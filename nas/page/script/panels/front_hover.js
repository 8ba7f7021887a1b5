// What panel "Front" tells of a trial: beside the pointer, and to screen readers.

const frontHover = (() => {
  /** The nodes of the box beside a point. */
  function nodes(page, view, trial) {
    const { study } = page, keys = new Set(study.objectives.map(({ name }) => name));
    for (const key of [...frontView.axes(view).map(({ field }) => field.key), view.colour, view.symbol])
      if (key && key !== "mixer" && key !== "mixers") keys.add(key);
    const found = expected.of(study), more = found && !Number.isNaN(found.value(trial)) ? [element("dt", {}, expected.label(found)), element("dd", {}, expected.text(found, trial))] : [];
    return [
      element("strong", {}, `Trial ${trial}`), element("span", { class: "state" }, ` ${stateText(study, trial)}`),
      element("div", { class: "mixers" }, study.text("mixers", trial)),
      element("dl", { class: "values" }, ...[...keys].flatMap((key) => [element("dt", {}, study.field(key).label), element("dd", {}, study.text(key, trial))]), ...more),
    ];
  }

  function stateText(study, trial) {
    const found = expected.of(study), isKnown = found && expected.knows(found, trial), isExpected = isKnown && found.front.has(trial);
    if (study.front.has(trial)) return isExpected ? "on the front, also on the expected one" : isKnown ? "on the front, not on the expected one" : "on the front";
    if (isExpected) return "on the expected front";
    if (!study.isCounted(trial) && study.text("state", trial) === "complete") return "outside the study's limits";
    const reason = ["failure", "refused"].map((key) => study.text(key, trial)).find((text) => text !== format.MISSING);
    return study.state(trial) + (reason ? `: ${reason}` : "");
  }

  /** A trial in one sentence. */
  const sentence = (study, trial) => `Trial ${trial}, ${stateText(study, trial)}: ${study.objectives.map(({ name, label }) => `${label} ${study.text(name, trial)}`).join(", ")}`;

  return { nodes, sentence };
})();
