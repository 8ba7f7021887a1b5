// The sections of the drawer that follow from the columns: state, standing, values, neighbours, and the user's note.

const trialSections = (() => {
  const NEIGHBOURS = 4;

  const section = (title, ...children) => element("section", { class: "trial-section" }, title ? element("h3", {}, title) : null, ...children);

  /** A button that selects another trial. */
  const trialLink = (view, trial) => element("button", { type: "button", class: "link", onclick: () => view.select(trial) }, `trial ${trial}`);

  function joined(texts) {
    return texts.length < 2 ? texts.join("") : `${texts.slice(0, -1).join(", ")} and ${texts[texts.length - 1]}`;
  }

  const hasText = (study, trial, other) => joined(standing.differences(study, trial, other).map(({ text }) => text));

  // Standing ------------------------------------------------------------------------------------------------------------

  function standingOnFront(view, trial) {
    const { study } = view, { above, below } = standing.neighboursOnFront(study, trial), lines = [];
    if (study.best === trial) lines.push(["Best in ", study.primary.label, " of all trials."]);
    if (below !== null) lines.push(["It has ", hasText(study, trial, below), " than ", trialLink(view, below), ", the next below it on the front."]);
    if (above !== null) lines.push(["The next above, ", trialLink(view, above), ", has ", hasText(study, above, trial), "."]);
    if (!lines.length) lines.push(["It is alone on the front."]);
    return lines;
  }

  function standingLines(view, trial) {
    const { study } = view;
    if (study.front.has(trial)) return standingOnFront(view, trial);
    if (!study.isCounted(trial)) {
      const outside = study.text("state", trial) === "complete" ? "It violates a limit of the study, so it is not compared with the front." : "It has no result that could be on the front.";
      return [[outside]];
    }
    const better = standing.dominator(study, trial);
    const place = `It is number ${format.integer(standing.rank(study, trial))} of ${format.integer(study.counted.length)} in ${study.primary.label}.`;
    return [better === null ? [place] : ["Beaten by ", trialLink(view, better), ", which has ", hasText(study, better, trial), ". ", place]];
  }

  /** Where the trial stands against the front, in words. */
  const drawStanding = (view, trial) => element("div", { class: "standing" }, ...standingLines(view, trial).map((parts) => element("p", {}, ...parts)));

  // Values --------------------------------------------------------------------------------------------------------------

  /** True if the value of a measured field was predicted. */
  const isPredicted = (study, field, trial) => Boolean(study.field("predicted_values")) && study.text("predicted_values", trial).split(", ").includes(field.label);

  /** What is known about the precision of a value: interval, noise, prediction. */
  function precision(view, field, trial) {
    const { study } = view, notes = [], noise = (study.noise || {})[field.key];
    const range = (low, high) => Number.isFinite(study.value(low, trial)) ? `${format.value(field, study.value(low, trial), false)} to ${format.value(field, study.value(high, trial))}` : null;
    const interval = range(`${field.key}_low`, `${field.key}_high`);
    if (interval) notes.push(isPredicted(study, field, trial) ? `predicted, not measured; 99.9 %: ${interval}` : `95 %: ${interval}`);
    if (noise) notes.push(`± ${standing.points(noise)} between trainings of one architecture`);
    const predicted = field.key === study.primary.name ? range("predicted_low", "predicted_high") : null;
    if (predicted) notes.push(`predicted ${study.text("predicted_median", trial, false)} (${predicted})`);
    return notes;
  }

  const hasValue = (study, field, trial) => {
    const value = study.value(field.key, trial);
    return field.kind === "code" ? value >= 0 : Number.isFinite(value);
  };

  /** The value, and its unit unless the label says it. */
  function valueAndUnit(study, field, trial) {
    const value = study.text(field.key, trial, false), isWhole = value === study.text(field.key, trial) || field.unit === field.label;
    return isWhole ? [value] : [value, element("span", { class: "unit" }, ` ${field.unit}`)];
  }

  function objectiveCard(view, field, trial) {
    const { study } = view, limit = (study.objectives.find(({ name }) => name === field.key) || {}).limit;
    const notes = precision(view, field, trial);
    if (limit !== null && limit !== undefined) notes.push(`limit ${format.value(field, limit)}`);
    return element("div", { class: "objective" }, element("dt", {}, field.label), element("dd", {}, ...valueAndUnit(study, field, trial), ...notes.map((note) => element("small", {}, note))));
  }

  /** The objectives large, the other values below them. */
  function drawValues(view, trial) {
    const { study } = view, objectives = standing.objectiveFields(study);
    const others = standing.valueFields(study).filter((field) => hasValue(study, field, trial));
    return section(null,
      element("dl", { class: "objectives" }, ...objectives.map((field) => objectiveCard(view, field, trial))),
      others.length ? element("dl", { class: "values" }, ...others.flatMap((field) => [
        element("dt", {}, field.label),
        element("dd", {}, study.text(field.key, trial), ...precision(view, field, trial).map((note) => element("small", {}, note))),
      ])) : null);
  }

  // Neighbours ----------------------------------------------------------------------------------------------------------

  function neighbour(view, trial, { trial: other, fields, oneSided }) {
    const { study } = view;
    const changes = fields.map((field) => element("li", {}, `${standing.choiceLabel(field)}: `, element("s", {}, study.text(field.key, trial)), ` ${study.text(field.key, other)}`));
    if (oneSided) changes.push(element("li", { class: "soft" }, `${format.count(oneSided, "option")} of only one of the two`));
    const results = study.isCounted(other)
      ? standing.differences(study, other, trial).map(({ text, better }) => element("span", { class: ["change worse", "change", "change better"][better + 1] }, ["▼ ", "", "▲ "][better + 1], text))
      : [element("span", { class: "change" }, study.state(other))];
    return element("li", { class: "neighbour" }, element("div", { class: "neighbour-title" }, trialLink(view, other), study.front.has(other) ? element("span", { class: "badge good" }, "on the front") : null),
      element("ul", { class: "changes" }, ...changes), element("div", { class: "results" }, ...results));
  }

  /** Trials whose choices differ least, with what differs and what it changed. */
  function drawNeighbours(view, trial) {
    const found = standing.nearest(view.study, trial, NEIGHBOURS);
    if (!found.length) return null;
    return section("Nearest trials", element("p", { class: "about" }, "The fewest choices differ in these; ▲ better, ▼ worse than this trial."), element("ol", { class: "neighbours" }, ...found.map((entry) => neighbour(view, trial, entry))));
  }

  // Note ----------------------------------------------------------------------------------------------------------------

  /** The user's note: an editor where notes can be stored, whose `defaultValue` is the text that is stored, else its text. */
  function drawNote(view, trial) {
    const { study, source: from } = view, text = (study.notes || {})[trial] || "";
    if (!study.writable) return text ? section("Note", element("p", { class: "note" }, text)) : null;
    const status = element("span", { class: "about", role: "status" });
    const area = element("textarea", { rows: 3, maxlength: 10000, "aria-label": `Note on trial ${trial}`, placeholder: "A note on this trial" }, text);
    area.addEventListener("change", async () => {
      const { value } = area;
      try {
        await from.setNote(study.key, trial, value);
        study.notes = { ...study.notes, [trial]: value };
        area.defaultValue = value;
        status.textContent = "Saved";
      } catch (error) {
        status.textContent = `Not saved: ${error.message}`;
      }
    });
    return section("Note", area, status);
  }

  return { section, trialLink, drawStanding, drawValues, drawNeighbours, drawNote, hasValue };
})();
