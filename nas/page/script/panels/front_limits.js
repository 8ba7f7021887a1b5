// The limits that a person sets on values: "at most 50 M MACs". They are part of the address, as `limit.macs=..5e7`.

const frontLimits = (() => {
  const PREFIX = "limit.", STEPS = 1000;

  /** The limits of the address by key of the field: {atLeast, atMost}, each a number or null. */
  function current(study) {
    const limits = new Map();
    for (const { name } of study.objectives) limits.set(name, bounds(name));
    for (const key of state.names(PREFIX).map((name) => name.slice(PREFIX.length)))
      if (study.field(key)) limits.set(key, bounds(key));
    return limits;
  }

  function bounds(key) {
    const [low = "", high = ""] = state.get(PREFIX + key, "").split("..");
    const number = (text) => text === "" || !Number.isFinite(Number(text)) ? null : Number(text);
    return { atLeast: number(low), atMost: number(high) };
  }

  /** Store the limits of a field; without a bound, `isListed` keeps it in the list. */
  function store(key, { atLeast, atMost }, isListed) {
    const isSet = atLeast !== null || atMost !== null;
    state.set({ [PREFIX + key]: isSet || isListed ? `${atLeast ?? ""}..${atMost ?? ""}` : null });
  }

  const clear = () => state.set(Object.fromEntries(state.names(PREFIX).map((name) => [name, null])));

  const isSet = ({ atLeast, atMost }) => atLeast !== null || atMost !== null;

  /** The limits that bound something, as [{field, values, atLeast, atMost}]. */
  function active(study, limits) {
    return [...limits].filter(([, bound]) => isSet(bound))
      .map(([key, bound]) => ({ field: study.field(key), values: study.numbers(key), ...bound }));
  }

  /** True if the trial has all limited values, and none violates its limit. */
  const allows = (rules, trial) => rules.every(({ values, atLeast, atMost }) =>
    !Number.isNaN(values[trial]) && (atLeast === null || values[trial] >= atLeast) && (atMost === null || values[trial] <= atMost));

  /** "at most 50 M MACs", "accuracy of at least 0.9000". */
  function sentence({ field, atLeast, atMost }) {
    const text = (value) => field.format === "si" ? format.brief(value, field.unit) : format.value(field, value);
    const words = [atLeast === null ? "" : `at least ${text(atLeast)}`, atMost === null ? "" : `at most ${text(atMost)}`].filter(Boolean).join(" and ");
    return field.unit ? words : field.format === "ratio" ? `${field.label} of ${words}` : `${words} ${field.label}`;
  }

  // Text -> bounds

  const OPERATORS = { ">=": "atLeast", "≥": "atLeast", ">": "atLeast", "at least": "atLeast", "<=": "atMost", "≤": "atMost", "<": "atMost", "at most": "atMost" };

  /** The bound that a field without a sign in its text means. */
  const sense = (field) => field.direction === "maximize" ? "atLeast" : "atMost";

  /** Bounds from "50 M", ">= .9" or "at most 2k"; throws a sentence about a text that is none. */
  function parsed(field, text) {
    const [, operator, number] = /^\s*(>=|<=|≥|≤|>|<|at least|at most)?(.*)$/i.exec(text.trim());
    const none = { atLeast: null, atMost: null };
    if (!number.trim() && !operator) return none;
    const value = format.parsed(number, field.unit || field.label);
    if (!Number.isFinite(value)) throw new Error(`A limit is a number such as 50 M, 2k or >= .9, found “${text}”`);
    return { ...none, [operator ? OPERATORS[operator.toLowerCase()] : sense(field)]: value };
  }

  // Slider position <-> value; the loose end means no limit

  function scale(study, field) {
    const values = study.numbers(field.key), known = study.counted.map((trial) => values[trial]).filter(Number.isFinite);
    const [low, high] = extent(known);
    const isLog = field.log && low > 0;
    const inner = isLog ? [Math.log10(low), Math.log10(high)] : [low, high];
    const [start, end] = inner, span = end - start;
    return {
      isEmpty: !(span > 0),
      position: (value) => Math.round(STEPS * ((isLog ? Math.log10(value) : value) - start) / span),
      value: (position) => {
        const at = start + span * position / STEPS;
        return rounded(isLog ? 10 ** at : at);
      },
    };
  }

  function extent(values) {
    let low = Infinity, high = -Infinity;
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    return [low, high];
  }

  const rounded = (value) => Number(value.toPrecision(4));

  return { STEPS, current, store, clear, isSet, active, allows, sentence, sense, parsed, scale, extent };
})();
