// Filters of panel "Table": `accuracy > .9 and macs < 5e6`, `mixer in (conv, pool)`, `not on_front`, `failure ~ memory`.
//
//     expression = and {"or" and}        and = not {"and" not}        not = "not" not | "(" expression ")" | comparison
//     comparison = NAME OPERATOR value | NAME ["not"] "in" "(" value {"," value} ")" | NAME of a yes/no field | words to search
//
// A comparison with a missing value is false. Texts compare without regard to case; `~` means contains.

const tableFilter = (() => {
  const TOKEN = /\s*(?:("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(<=|>=|==|!=|=|<|>|!~|~|\(|\)|,)|([^\s()<>=!~,"']+))/y;
  const OPERATORS = ["<=", ">=", "==", "!=", "=", "<", ">", "!~", "~"];
  const KEYWORDS = ["and", "or", "not", "in"];

  /** A mistake in a filter: `message`, and the place `start` to `end` in its text. */
  class FilterError extends Error {
    constructor(message, start, end) {
      super(message);
      Object.assign(this, { start, end });
    }
  }

  /** Text -> tokens {kind: "text" | "sign" | "word", text, start, end}. */
  function tokens(source) {
    const found = [];
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < source.trimEnd().length) {
      const before = TOKEN.lastIndex, match = TOKEN.exec(source);
      if (!match) {
        const start = before + source.slice(before).search(/\S/);
        throw new FilterError(source[start] === "!" ? "! stands before = or ~ only; write not" : "this quotation has no end", start, source.length);
      }
      const [quoted, sign, word] = match.slice(1), text = quoted ? quoted.slice(1, -1).replace(/\\(.)/g, "$1") : sign || word;
      found.push({ kind: quoted !== undefined ? "text" : sign ? "sign" : "word", text, start: TOKEN.lastIndex - (quoted ?? text).length, end: TOKEN.lastIndex });
    }
    return found;
  }

  // Fields ------------------------------------------------------------------------------------------------------------

  /** What names mean, by lower-case name: {label, kind: "number" | "text" | "bool", value(trial)}. Missing: NaN or null. */
  function fieldsOf(study, view) {
    const fields = new Map([
      ["trial", { kind: "number", value: (trial) => trial }],
      ["on_front", { kind: "bool", value: (trial) => study.front.has(trial) }],
      ["pinned", { kind: "bool", value: (trial) => view.pins.has(trial) }],
      ["note", { kind: "text", value: (trial) => (study.notes || {})[trial] || null }],
    ]);
    const found = expected.of(study);
    if (found) {
      fields.set("on_expected_front", { kind: "bool", value: (trial) => found.front.has(trial) });
      fields.set("expected", { kind: "number", value: found.value });
      fields.set("expected_deviation", { kind: "number", value: (trial) => expected.deviation(found, trial) });
    }
    for (const field of study.fields.values()) fields.set(nameOf(field).toLowerCase(), reader(study, field));
    return fields;
  }

  /** The name of a field in filters; parameters of the space without their prefix. */
  const nameOf = (field) => field.group === "choice" ? field.key.replace(/^param:/, "") : field.key;

  function reader(study, field) {
    if (field.key === "state") return { kind: "text", value: (trial) => study.state(trial) };
    if (study.isNumeric(field) || field.kind === "time") {
      const values = study.numbers(field.key);
      return { kind: "number", isTime: field.kind === "time", unit: field.unit, value: (trial) => values[trial] };
    }
    const values = study.column(field.key);
    if (field.kind === "bool") return { kind: "bool", value: (trial) => values[trial] === 1 };
    return { kind: "text", value: (trial) => values[trial] < 0 ? null : field.codes[values[trial]] };
  }

  // Parser: tokens -> a function of the number of a trial -----------------------------------------------------------------

  class Parser {
    constructor(source, fields) {
      this.source = source;
      this.tokens = tokens(source);
      this.fields = fields;
      this.at = 0;
    }

    get token() { return this.tokens[this.at]; }

    is(...texts) {
      const token = this.token;
      return Boolean(token) && token.kind !== "text" && texts.includes(token.text.toLowerCase());
    }

    take(text) {
      if (!this.is(text)) return false;
      this.at += 1;
      return true;
    }

    fail(message, token = this.token) {
      const { start, end } = token || { start: this.source.length, end: this.source.length };
      throw new FilterError(message, start, end);
    }

    parse() {
      const test = this.or();
      if (this.token) this.fail(this.is(")") ? "this parenthesis was not opened" : `expected and, or, or the end, found ${this.token.text}`);
      return test;
    }

    or() {
      const parts = [this.and()];
      while (this.take("or")) parts.push(this.and());
      return parts.length === 1 ? parts[0] : (trial) => parts.some((part) => part(trial));
    }

    and() {
      const parts = [this.not()];
      while (this.take("and")) parts.push(this.not());
      return parts.length === 1 ? parts[0] : (trial) => parts.every((part) => part(trial));
    }

    not() {
      if (this.take("not")) {
        const part = this.not();
        return (trial) => !part(trial);
      }
      const open = this.token;
      if (!this.take("(")) return this.comparison();
      const part = this.or();
      if (!this.take(")")) this.fail("this parenthesis is not closed", open);
      return part;
    }

    comparison() {
      const name = this.token;
      if (!name) this.fail("expected a condition here");
      if (name.kind === "sign" || (name.kind === "word" && KEYWORDS.includes(name.text.toLowerCase()))) this.fail(`expected a field, found ${name.text}`);
      this.at += 1;
      const field = this.field(name);
      if (this.is("in") || (this.is("not") && this.tokens[this.at + 1]?.text.toLowerCase() === "in")) return this.membership(field);
      if (!this.is(...OPERATORS)) {
        if (field.kind === "bool") return field.value;
        this.fail(`${name.text} needs a comparison, such as ${name.text} ${field.kind === "number" ? "> 1" : "== …"}`, name);
      }
      const operator = this.token.text;
      this.at += 1;
      return compared(field, operator, this.value(field, operator));
    }

    field(token) {
      const field = this.fields.get(token.text.toLowerCase());
      if (field) return field;
      const close = closest(token.text.toLowerCase(), [...this.fields.keys()]);
      return this.fail(`unknown field ${token.text}${close ? `; did you mean ${close}?` : ""}`, token);
    }

    membership(field) {
      const isNegated = this.take("not");
      this.take("in");
      const open = this.token, values = [];
      if (!this.take("(")) this.fail("expected ( after in");
      do values.push(this.value(field, "==")); while (this.take(","));
      if (!this.take(")")) this.fail("this parenthesis is not closed", open);
      const parts = values.map((value) => compared(field, "==", value));
      return (trial) => parts.some((part) => part(trial)) !== isNegated;
    }

    /** The value that `field` is compared with, of its kind. */
    value(field, operator) {
      const token = this.token;
      if (!token || token.kind === "sign") this.fail("expected a value here");
      this.at += 1;
      if (field.kind === "bool") return this.truth(token);
      if (field.kind === "text" || operator.endsWith("~")) return this.words(token, field);
      let text = token.text;
      if (token.kind === "word" && this.token && this.token.kind === "word" && /^[kMGTP%]$/.test(this.token.text)) text += this.tokens[this.at++].text;
      const number = field.isTime && !/^\d+$/.test(text) ? Date.parse(text.replace(" ", "T")) / 1000 : format.parsed(text, field.unit);
      if (field.unit && this.token && this.token.text.toLowerCase() === field.unit.toLowerCase()) this.at += 1;
      return Number.isNaN(number) ? this.fail(`expected ${field.isTime ? "a time such as \"2026-11-25 14:00\"" : "a number"}, found ${token.text}`, token) : number;
    }

    truth(token) {
      const text = token.text.toLowerCase();
      if (["yes", "true", "1"].includes(text)) return true;
      return ["no", "false", "0"].includes(text) ? false : this.fail(`expected yes or no, found ${token.text}`, token);
    }

    words(token, field) {
      if (field.kind === "bool") this.fail("yes and no contain no text", token);
      return token.text.toLowerCase();
    }
  }

  const TESTS = {
    "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b,
    "=": (a, b) => a === b, "==": (a, b) => a === b, "!=": (a, b) => a !== b,
    "~": (a, b) => String(a).includes(b), "!~": (a, b) => !String(a).includes(b),
  };

  function compared({ kind, value }, operator, other) {
    const test = TESTS[operator];
    if (kind === "number") return (trial) => { const own = value(trial); return !Number.isNaN(own) && test(own, other); };
    if (kind === "bool") return (trial) => test(value(trial), other);
    return (trial) => { const own = value(trial); return own !== null && test(own.toLowerCase(), other); };
  }

  /** The name among `names` that differs least from `name`; null if none is close. */
  function closest(name, names) {
    const ranked = names.map((other) => [distance(name, other), other]).sort((a, b) => a[0] - b[0]);
    return ranked.length && ranked[0][0] <= Math.max(2, name.length / 3) ? ranked[0][1] : null;
  }

  /** Edits between two texts (Levenshtein). */
  function distance(a, b) {
    let row = Array.from({ length: b.length + 1 }, (_, i) => i);
    for (let i = 1; i <= a.length; i++) {
      const next = [i];
      for (let j = 1; j <= b.length; j++) next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
      row = next;
    }
    return row[b.length];
  }

  // Plain words --------------------------------------------------------------------------------------------------------------

  /** True if `source` has neither operators nor names of yes/no fields: its words are searched in all texts. */
  function isSearch(found, fields) {
    const hasSign = found.some(({ kind, text }) => kind === "sign" || (kind === "word" && ["and", "or", "not", "in"].includes(text.toLowerCase())));
    return !hasSign && !(found.length === 1 && found[0].kind === "word" && fields.has(found[0].text.toLowerCase()));
  }

  /** Trials that have every word in one of their texts, or as their number. */
  function search(found, fields) {
    const words = found.map(({ text }) => text.toLowerCase()), texts = [...fields.values()].filter(({ kind }) => kind === "text");
    return (trial) => words.every((word) => String(trial) === word || texts.some(({ value }) => (value(trial) || "").toLowerCase().includes(word)));
  }

  /** The test `(trial) -> bool` of the filter `source` for the trials of `study`; throws a `FilterError`. */
  function parse(source, study, view) {
    if (!source.trim()) return () => true;
    const fields = fieldsOf(study, view), parser = new Parser(source, fields);
    return isSearch(parser.tokens, fields) ? search(parser.tokens, fields) : parser.parse();
  }

  return { parse, fieldsOf, nameOf, FilterError };
})();
