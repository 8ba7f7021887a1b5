// The axes of parallel coordinates: numbers from the lowest to the highest, or texts with equal distances.

const parallelAxes = (() => {
  const MAX_AXES = 10;

  function numberAxis(study, field, trials) {
    const column = study.column(field.key), scale = field.log ? Math.log10 : (value) => value;
    const at = (trial) => scale(column[trial]);
    const known = trials.map(at).filter(Number.isFinite);
    const low = known.reduce((a, b) => Math.min(a, b), Infinity), high = known.reduce((a, b) => Math.max(a, b), -Infinity);
    const unscale = (value) => field.log ? 10 ** value : value;
    const ticks = low === high ? [low] : [0, 0.25, 0.5, 0.75, 1].map((share) => low + share * (high - low));
    return { key: field.key, label: format.heading(field), low, high, at, ticks: ticks.map((value) => ({ value, text: format.value(field, unscale(value), false) })) };
  }

  function textAxis(study, field, trials) {
    const column = study.column(field.key), seen = new Set(trials.map((trial) => column[trial]).filter((code) => code >= 0));
    const texts = theme.ordered([...seen].map((code) => field.codes[code])), places = new Map(texts.map((text, i) => [text, i]));
    const at = (trial) => column[trial] < 0 ? NaN : places.get(field.codes[column[trial]]);
    return { key: field.key, label: preferences.label(field.key), low: 0, high: texts.length - 1, at, ticks: texts.map((text, value) => ({ value, text })), isText: true };
  }

  /** The parameters to show: those that matter most, or those of the main groups while this is not known. */
  function parameters(study) {
    const strongest = importanceBars.strongest(study).filter((key) => study.field(key));
    if (strongest.length) return strongest;
    return preferences.groups(study).filter(({ isMain }) => isMain).flatMap(({ rows }) => rows.map(({ key }) => key));
  }

  /** The axes of `trials`: the objectives, then parameters that vary. */
  function of(study, trials) {
    const objectives = study.objectives.map(({ name }) => numberAxis(study, study.field(name), trials)).filter(({ low }) => Number.isFinite(low));
    const choices = parameters(study).map((key) => textAxis(study, study.field(key), trials)).filter(({ high }) => high > 0);
    return [...objectives, ...choices.slice(0, Math.max(3, MAX_AXES - objectives.length))];
  }

  return { of };
})();
