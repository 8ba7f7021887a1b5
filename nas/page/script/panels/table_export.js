// What panel "Table" shows as a file: all fields with full precision, the trials and the order of the table.

const tableExport = (() => {
  const FLOAT_DIGITS = 7; // of values that are stored as 4-byte numbers

  /** Columns of a file: [[name, value(trial)]]; a missing value is null. */
  function columnsOf(study, page) {
    const own = [["trial", (trial) => trial], ...[...study.fields.values()].map((field) => [tableFilter.nameOf(field), reader(study, field)])];
    return [...own, ["on_front", (trial) => study.front.has(trial)], ...expectedColumns(study), ["pinned", (trial) => page.pins.has(trial)], ["note", (trial) => (study.notes || {})[trial] ?? null]];
  }

  function expectedColumns(study) {
    const found = expected.of(study), known = (value) => Number.isNaN(value) ? null : value;
    if (!found) return [];
    return [["on_expected_front", (trial) => found.front.has(trial)], ["expected", (trial) => known(found.value(trial))], ["expected_deviation", (trial) => known(expected.deviation(found, trial))]];
  }

  function reader(study, field) {
    if (field.key === "state") return (trial) => study.state(trial);
    const values = study.column(field.key);
    if (field.kind === "code") return (trial) => values[trial] < 0 ? null : field.codes[values[trial]];
    if (field.kind === "bool") return (trial) => values[trial] === 1;
    if (field.kind === "time") return (trial) => Number.isNaN(values[trial]) ? null : new Date(1000 * values[trial]).toISOString();
    const isFloat = field.format === "seconds";
    return (trial) => Number.isFinite(values[trial]) ? isFloat ? Number(values[trial].toPrecision(FLOAT_DIGITS)) : values[trial] : null;
  }

  function cell(value) {
    const text = value === null ? "" : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  }

  /** `trials` as CSV with a line of names. */
  function csv(study, page, trials) {
    const columns = columnsOf(study, page);
    const lines = [columns.map(([name]) => cell(name)), ...trials.map((trial) => columns.map(([, value]) => cell(value(trial))))];
    return lines.map((line) => `${line.join(",")}\n`).join("");
  }

  /** `trials` as JSON: a list with an object for each. */
  function json(study, page, trials) {
    const columns = columnsOf(study, page);
    return JSON.stringify(trials.map((trial) => Object.fromEntries(columns.map(([name, value]) => [name, value(trial)]))), null, 1);
  }

  return { csv, json };
})();
