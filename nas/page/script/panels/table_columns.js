// The columns of panel "Table": what each shows, how it sorts, and which are chosen.

const tableColumns = (() => {
  const WIDTHS = { trial: 64, pinned: 44, on_front: 84, on_expected_front: 92, expected: 200, state: 96, mixer: 130, mixers: 240, failure: 320, refused: 260, id: 130, device: 190, note: 240 };
  const NUMBER_PX = 124, TIME_PX = 168, TEXT_PX = 130;

  const isNumber = (study, field) => field.kind === "number" && field.format !== "text";

  function ofField(study, field) {
    const values = study.column(field.key), name = tableFilter.nameOf(field);
    const isText = field.kind === "code";
    return {
      name, title: format.heading(field), width: WIDTHS[field.key] || (field.kind === "time" ? TIME_PX : isText ? TEXT_PX : NUMBER_PX),
      isNumber: isNumber(study, field), isBestFirst: field.direction === "maximize",
      text: (trial) => field.key === "state" ? study.state(trial) : study.text(field.key, trial, false),
      sortKeys: () => isText ? ranks(study, field, values) : (trial) => values[trial],
    };
  }

  /** The place of a trial's text among all texts of the field in their order; NaN if it has none. */
  function ranks(study, field, values) {
    if (study.isNumeric(field)) {
      const numbers = study.numbers(field.key);
      return (trial) => numbers[trial];
    }
    const ordered = theme.ordered(field.codes), rank = new Map(ordered.map((text, i) => [text, i]));
    const ofCode = field.codes.map((text) => rank.get(text));
    return (trial) => values[trial] < 0 ? NaN : ofCode[values[trial]];
  }

  /** All columns by name: {name, title, width, isNumber, text(trial), sortKeys()}; `sortKeys` returns a function of the trial. */
  function all(study, page) {
    const note = (trial) => (study.notes || {})[trial] || "";
    const own = [
      { name: "trial", title: "trial", isNumber: true, text: String, sortKeys: () => (trial) => trial },
      { name: "on_front", title: "on front", text: (trial) => study.front.has(trial) ? "yes" : "", sortKeys: () => (trial) => study.front.has(trial) ? 0 : 1 },
      ...expectedColumns(study),
      { name: "pinned", title: "★", label: "pinned", text: (trial) => page.pins.has(trial) ? "★" : "", sortKeys: () => (trial) => page.pins.has(trial) ? 0 : 1 },
      { name: "note", title: "note", text: note, sortKeys: () => (trial) => note(trial) ? 0 : NaN },
    ].map((column) => ({ width: WIDTHS[column.name], ...column }));
    return new Map([...own, ...[...study.fields.values()].map((field) => ofField(study, field))].map((column) => [column.name, column]));
  }

  /** Those of what a model expects, once it is known. */
  function expectedColumns(study) {
    const found = expected.of(study);
    if (!found) return [];
    const isOn = (trial) => found.front.has(trial);
    return [
      { name: "on_expected_front", title: "expected front", label: "on the front that a model expects", text: (trial) => isOn(trial) ? "yes" : "", sortKeys: () => (trial) => isOn(trial) ? 0 : 1 },
      { name: "expected", title: expected.label(found), isNumber: true, isBestFirst: found.field.direction === "maximize", text: (trial) => expected.text(found, trial), sortKeys: () => found.value },
    ];
  }

  /** The names of the columns that are shown unless a person chooses others. */
  function standard(study) {
    const found = expected.of(study), own = ["pinned", "trial", "on_front", ...(found ? ["on_expected_front", "expected"] : [])];
    const objectives = study.objectives.flatMap(({ name }) => found && name === found.objective ? [name, "expected"] : [name]);
    const names = [...(study.writable || study.pins.length ? ["pinned"] : []), "trial", "state", "on_front", "on_expected_front", "mixers", ...objectives, "accuracy", "macs", "params", "images_per_s", "blocks", "wall_s"];
    return [...new Set(names)].filter((name) => study.field(name) || own.includes(name))
      .concat(Object.keys(study.notes || {}).length || study.writable ? ["note"] : []);
  }

  /** The chosen columns, in their order. */
  function chosen(columns, study) {
    const names = state.get("columns") ? state.get("columns").split(",") : standard(study);
    const known = names.filter((name) => columns.has(name));
    return (known.length ? known : ["trial"]).map((name) => columns.get(name));
  }

  /** Store the names of the chosen columns. */
  const choose = (names) => state.set({ columns: names.join() });

  /** The order of the address: {name, isDescending}; by number unless a person chose another. */
  function order(columns) {
    const text = state.get("sort", "trial"), isDescending = text.startsWith("-"), name = isDescending ? text.slice(1) : text;
    return columns.has(name) ? { name, isDescending } : { name: "trial", isDescending: false };
  }

  /** Sort `trials` in place; those without a value come last, equal ones by number. */
  function sort(trials, columns) {
    const { name, isDescending } = order(columns), keys = columns.get(name).sortKeys(), sign = isDescending ? -1 : 1;
    const key = new Map(trials.map((trial) => [trial, keys(trial)]));
    return trials.sort((a, b) => {
      const u = key.get(a), v = key.get(b);
      if (Number.isNaN(u) || Number.isNaN(v)) return Number.isNaN(u) - Number.isNaN(v) || a - b;
      return sign * (u - v) || a - b;
    });
  }

  return { all, standard, chosen, choose, order, sort };
})();
