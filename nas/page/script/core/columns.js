// The trials of a study as typed arrays, and the changes that a server sends. See nas/page/document.py.

const columns = (() => {
  const TRAINED = ["complete", "stopped", "failed"]; // states that count towards the target of a study
  const PROGRESS_KEYS = ["cursor", "count", "searching"]; // of a change in which no trial has ended
  const TYPES = { f8: Float64Array, f4: Float32Array, i4: Int32Array, u2: Uint16Array, u1: Uint8Array };

  /** The typed array of `{dtype, bdata}`. */
  function decode({ dtype, bdata }) {
    const text = atob(bdata), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return new TYPES[dtype](bytes.buffer);
  }

  const missingCode = (dtype) => ({ u1: 255, u2: 65535, i4: -1 })[dtype];

  /** Values of a field, decoded: numbers with NaN, or codes with -1, where missing. */
  function decodeField(field, encoded) {
    const values = decode(encoded);
    if (field.kind === "code") {
      const missing = missingCode(encoded.dtype);
      return Int32Array.from(values, (code) => code === missing ? -1 : code);
    }
    return field.kind === "bool" ? values : Float64Array.from(values);
  }

  function emptyColumn(field, length) {
    if (field.kind === "code") return new Int32Array(length).fill(-1);
    return field.kind === "bool" ? new Uint8Array(length).fill(1) : new Float64Array(length).fill(NaN);
  }

  function resized(column, field, length) {
    if (column && column.length >= length) return column;
    const grown = emptyColumn(field, Math.max(length, column ? 2 * column.length : 64));
    if (column) grown.set(column);
    return grown;
  }

  /**
   * A study: `fields` by key, columns by `column(key)`, one entry a trial. `revision` rises with every change, `resultRevision` with all
   * but those of trials that wait or run.
   */
  class Study {
    constructor(document) {
      this.revision = this.resultRevision = 0;
      this.columns = new Map();
      this.fields = new Map();
      this.curves = [];
      this.count = 0;
      this.load(document);
    }

    /** Take the whole `document`, as after a lost connection. */
    load(document) {
      const { columns: encoded, curves, segments, fields, history, ...rest } = document;
      Object.assign(this, rest);
      this.setFields(fields);
      for (const [key, column] of Object.entries(encoded)) this.columns.set(key, decodeField(this.fields.get(key), column));
      const index = Int32Array.from({ length: this.count }, (_, i) => i);
      this.setCurves(index, curves);
      this.segments = new Map();
      if (segments) this.setSegments(index, segments);
      this.setHistory(history);
      this.revision += 1;
      this.resultRevision += 1;
    }

    /** Take a change that a server sent. Returns the numbers of the trials that changed. */
    apply({ rows, fields, codes, history, ...rest }) {
      const isOther = rest.searching !== this.searching || Object.keys(rest).some((key) => !PROGRESS_KEYS.includes(key));
      Object.assign(this, rest);
      if (fields) this.setFields(fields);
      for (const [key, { from, texts }] of Object.entries(codes || {})) this.fields.get(key).codes.splice(from, Infinity, ...texts);
      const index = rows ? decode(rows.index) : new Int32Array(0);
      if (rows) {
        for (const [key, encoded] of Object.entries(rows.columns)) this.setRows(key, index, encoded);
        this.setCurves(index, rows.curves);
        if (rows.segments) this.setSegments(index, rows.segments);
      }
      if (history) this.setHistory(history);
      this.revision += 1;
      if (isOther || fields || history || index.some((trial) => !this.isOpen(trial))) this.resultRevision += 1;
      return index;
    }

    setFields(fields) {
      this.fields = new Map(fields.map((field) => [field.key, field]));
    }

    setRows(key, index, encoded) {
      const field = this.fields.get(key), values = decodeField(field, encoded);
      const column = resized(this.columns.get(key), field, this.count);
      index.forEach((trial, i) => { column[trial] = values[i]; });
      this.columns.set(key, column);
    }

    setCurves(index, { offsets, values }) {
      const starts = decode(offsets), all = decode(values);
      index.forEach((trial, i) => { this.curves[trial] = all.subarray(starts[i], starts[i + 1]); });
    }

    /** Segments of the trials `index`: trial -> [{worker, outcome, start, end, measure_s, train_s, validate_s}, ...] in order. */
    setSegments(index, { workers, outcomes, ...encoded }) {
      const all = Object.fromEntries(Object.entries(encoded).map(([key, column]) => [key, decode(column)]));
      for (const trial of index) this.segments.delete(trial);
      all.trial.forEach((trial, i) => {
        const { start, end, measure_s, train_s, validate_s } = all;
        const segment = { worker: workers[all.worker[i]], outcome: outcomes[all.outcome[i]], start: start[i], end: end[i] };
        Object.assign(segment, { measure_s: measure_s[i], train_s: train_s[i], validate_s: validate_s[i] });
        if (this.segments.has(trial)) this.segments.get(trial).push(segment);
        else this.segments.set(trial, [segment]);
      });
    }

    setHistory({ trial, hypervolume, removed_by }) {
      this.history = { trial: decode(trial), hypervolume: decode(hypervolume), removedBy: decode(removed_by) };
      this.front = new Set();
      this.history.trial.forEach((number, i) => { if (this.history.removedBy[i] < 0) this.front.add(number); });
    }

    field(key) {
      return this.fields.get(key);
    }

    /** The values of a field, `count` entries; all missing if no trial has one. */
    column(key) {
      const field = this.fields.get(key);
      if (!field) return new Float64Array(this.count).fill(NaN);
      const column = resized(this.columns.get(key), field, this.count);
      this.columns.set(key, column);
      return column.subarray(0, this.count);
    }

    /** True if the values of `field` are numbers, or texts that all are numbers, such as widths to choose from. */
    isNumeric(field) {
      const isNumber = (text) => text !== "" && Number.isFinite(Number(text));
      return field.kind === "number" || (field.kind === "code" && field.codes.length > 0 && field.codes.every(isNumber));
    }

    /** The values of a numeric field (`isNumeric`) as numbers, NaN where missing. */
    numbers(key) {
      const field = this.fields.get(key), column = this.column(key);
      if (!field || field.kind !== "code") return column;
      const values = field.codes.map(Number);
      return Float64Array.from(column, (code) => code < 0 ? NaN : values[code]);
    }

    value(key, trial) {
      return this.column(key)[trial];
    }

    /** The value as text: with its unit unless `unit` is false. */
    text(key, trial, unit = true) {
      const field = this.fields.get(key);
      if (!field) return format.MISSING;
      const value = this.value(key, trial);
      if (field.kind === "code") return value < 0 ? format.MISSING : field.codes[value];
      return format.value(field, value, unit);
    }

    state(trial) {
      return this.stateWord(this.text("state", trial));
    }

    /** A trial that runs while no search does is interrupted. */
    stateWord(text) {
      return text === "running" && !this.searching ? "interrupted" : text;
    }

    /** True if the trial waits or runs. */
    isOpen(trial) {
      return ["waiting", "running"].includes(this.text("state", trial));
    }

    /** True if the trial is complete and within the study's limits. */
    isCounted(trial) {
      return this.text("state", trial) === "complete" && this.value("feasible", trial) === 1;
    }

    /** The numbers of the trials that count, ascending. */
    get counted() {
      if (this.countedRevision !== this.revision) {
        const complete = this.field("state").codes.indexOf("complete");
        const states = this.column("state"), feasible = this.column("feasible"), found = [];
        for (let i = 0; i < this.count; i++) if (states[i] === complete && feasible[i]) found.push(i);
        this.countedTrials = found;
        this.countedRevision = this.revision;
      }
      return this.countedTrials;
    }

    /** The numbers of the trials that count, in the order in which they finished. */
    get finishedOrder() {
      if (this.orderRevision !== this.revision) {
        const times = this.column("finished");
        this.order = [...this.counted].sort((a, b) => times[a] - times[b] || a - b);
        this.orderRevision = this.revision;
      }
      return this.order;
    }

    /** The objective that networks are trained for. */
    get primary() {
      const goals = ["accuracy", "balanced_accuracy", "macro_f1"];
      return this.objectives.find((o) => goals.includes(o.name)) || this.objectives.find((o) => o.source === "trained") || this.objectives[0];
    }

    /** The number of the trial that is best in the primary objective, ties by fewer MACs; -1 without one. */
    get best() {
      const { name, direction } = this.primary, sign = direction === "maximize" ? 1 : -1;
      const values = this.column(name), macs = this.column("macs");
      let best = -1;
      for (const trial of this.counted) {
        const gain = best < 0 ? 1 : sign * (values[trial] - values[best]);
        if (!Number.isNaN(values[trial]) && (gain > 0 || (gain === 0 && macs[trial] < macs[best]))) best = trial;
      }
      return best;
    }

    get hypervolume() {
      const values = this.history.hypervolume;
      return values.length ? values[values.length - 1] : 0;
    }

    /** How many trials are in each state, as words. */
    get states() {
      if (this.statesRevision !== this.revision) {
        const { codes } = this.field("state"), counts = new Map();
        for (const code of this.column("state")) counts.set(code, (counts.get(code) || 0) + 1);
        this.stateCounts = Object.fromEntries(Array.from(counts, ([code, number]) => [this.stateWord(code < 0 ? format.MISSING : codes[code]), number]));
        this.statesRevision = this.revision;
      }
      return this.stateCounts;
    }

    /** How many trials count towards the target of the study: trained to the end or to a rung, or failed and not repeated. */
    get trained() {
      const repeated = new Set(this.column("retried_from").filter((number) => !Number.isNaN(number)));
      return TRAINED.reduce((sum, state) => sum + (this.states[state] || 0), 0) - repeated.size;
    }

    fieldsOf(...groups) {
      return [...this.fields.values()].filter((field) => groups.includes(field.group));
    }
  }

  /** At most `limit` of the items of `list`, evenly spaced, the first among them. */
  const evenly = (list, limit) => list.length <= limit ? list : Array.from({ length: limit }, (_, i) => list[Math.floor((i * list.length) / limit)]);

  return { Study, decode, evenly, TRAINED };
})();
