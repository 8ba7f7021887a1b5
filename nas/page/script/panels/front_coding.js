// Colours and symbols of trials by the values of a field: a scale for numbers, categories for texts.

const frontCoding = (() => {
  const MAX_CATEGORIES = 12, OTHER = "other", SCALE = "Viridis", TICKS = 5;

  /** Category names of the trials by the codes of a field: at most `limit`, the rest is "other". */
  function categories(study, field, limit) {
    const codes = study.column(field.key), counts = new Map();
    for (const trial of study.counted) counts.set(codes[trial], (counts.get(codes[trial]) || 0) + 1);
    const frequent = [...counts].filter(([code]) => code >= 0).sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([code]) => code);
    const named = new Set(field.codes.length > limit ? frequent.slice(0, limit - 1) : field.codes.keys());
    const palette = theme.palette([...named].map((code) => field.codes[code]));
    palette.set(OTHER, { colour: "#8d8d8d", symbol: "asterisk-open" });
    const name = (trial) => named.has(codes[trial]) ? field.codes[codes[trial]] : OTHER;
    return { kind: "category", field, palette, name, style: (trial) => palette.get(name(trial)) };
  }

  /** A scale over the values of a numeric field. */
  function scale(study, field) {
    const values = study.numbers(field.key);
    const known = study.counted.map((trial) => values[trial]).filter((value) => Number.isFinite(value));
    const [low, high] = frontLimits.extent(known), isLog = field.log && low > 0;
    const position = (value) => isLog ? Math.log10(value) : value;
    const ticks = Array.from({ length: TICKS }, (_, i) => position(low) + (position(high) - position(low)) * i / (TICKS - 1));
    const text = (tick) => format.escaped(format.value(numeric(field), isLog ? 10 ** tick : Number(tick.toPrecision(4)), false));
    return {
      kind: "number", field, position: (trial) => position(values[trial]),
      axis: known.length ? {
        colorscale: SCALE, cmin: position(low), cmax: position(high),
        colorbar: { title: { text: format.escaped(format.heading(field)), side: "right" }, thickness: 12, outlinewidth: 0, tickvals: ticks, ticktext: ticks.map(text) },
      } : {},
    };
  }

  /** A field of choices among numbers as a field of numbers. */
  const numeric = (field) => field.kind === "code" ? { ...field, kind: "number", format: "si" } : field;

  /** The colour coding of the field `key`, or of none. */
  function colours(study, key) {
    const field = key && study.field(key);
    if (!field) return { kind: "none" };
    return study.isNumeric(field) ? scale(study, field) : categories(study, field, MAX_CATEGORIES);
  }

  /** The symbol coding of the field `key`, whose numbers are categories, too; like the colours if they have the same field. */
  function symbols(study, key, ofColours) {
    if (ofColours.kind === "category" && ofColours.field.key === key) return ofColours;
    const field = key && study.field(key);
    if (!field || field.kind !== "code") return { kind: "none" };
    return categories(study, field, theme.SYMBOLS.length);
  }

  const symbolFields = (study) => frontView.codingFields(study).filter(({ kind }) => kind === "code");

  return { colours, symbols, symbolFields };
})();
