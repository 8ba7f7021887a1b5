// What panel "Front" shows, as values of the address: axes and their scales, colour, symbol, and kinds of further trials.

const frontView = (() => {
  /** Trials that do not count, by kind: [name, what it is called]. */
  const KINDS = [["infeasible", "outside the study's limits"], ["stopped", "stopped at a rung"], ["refused", "refused"], ["failed", "failed"]];
  const GROUPS = [
    ["objective", "Objectives"], ["trained", "Trained"], ["cost", "Costs"], ["measured", "Measured"], ["architecture", "Architecture"],
    ["choice", "Choices of the space"], ["time", "Time"], ["trial", "Trial"],
  ];
  const UNIQUE = ["id", "failure", "refused"]; // texts that tell no groups of trials

  /** The fields that an axis can show: numbers, and choices among numbers. */
  const axisFields = (study) => [...study.fields.values()].filter((field) => study.isNumeric(field));

  const codingFields = (study) => [...study.fields.values()].filter((field) =>
    study.isNumeric(field) || (field.kind === "code" && !UNIQUE.includes(field.key)));

  /** Options of a select by groups. */
  function options(fields) {
    return GROUPS.map(([group, title]) => ({
      group: title, options: fields.filter((field) => field.group === group).map(({ key, label }) => [key, label]),
    })).filter((item) => item.options.length);
  }

  function defaultX(study) {
    const others = study.objectives.filter((objective) => objective.name !== study.primary.name);
    const first = others.find(({ source }) => source === "cost") || others[0];
    const names = [...(first ? [first.name] : []), "macs", "params", study.primary.name];
    return names.find((name) => study.field(name));
  }

  function axis(study, name, fallback) {
    const key = state.get(name, fallback), field = key && study.field(key);
    const shown = field && study.isNumeric(field) ? field : fallback ? study.field(fallback) : null;
    return shown && { name, field: shown, log: state.get(`${name}.log`, shown.log ? "1" : "0") === "1" };
  }

  function coding(study, name, fallback) {
    const key = state.get(name, fallback);
    return key && study.field(key) ? key : null;
  }

  /** The view of the address: {x, y, z or null: {name, field, log}, colour, symbol: keys or null, kinds: Set, references, errors, expected}. */
  function current(study) {
    const colour = coding(study, "colour", "mixer");
    const isCategory = colour && !study.isNumeric(study.field(colour));
    return {
      x: axis(study, "x", defaultX(study)),
      y: axis(study, "y", study.primary.name),
      z: state.get("z") && plot.hasWebgl() ? axis(study, "z", null) : null,
      colour,
      symbol: coding(study, "symbol", isCategory ? colour : "none"),
      kinds: new Set(state.get("show", "").split(",").filter(Boolean)),
      references: state.get("references", "1") === "1",
      errors: state.get("errors", "1") === "1",
      expected: state.get("expected", "1") === "1",
    };
  }

  const axes = (view) => [view.x, view.y, ...(view.z ? [view.z] : [])];

  /** A text that changes with what the axes show: zoom belongs to it. */
  const shownText = (view) => axes(view).map(({ field, log }) => field.key + (log ? ".log" : "")).join("/");

  return { KINDS, axisFields, codingFields, options, current, axes, shownText };
})();
