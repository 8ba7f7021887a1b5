// Where a trial stands: against the Pareto front, and against the trials whose choices are nearest to its own.

const standing = (() => {
  const ALIKE = 0.005; // relative differences below it are called none
  const PART_OF_ONE_SIDED = 0.25; // weight of an option that only one of two trials has, as those of another mixer

  /** How much better `trial` is than `other` in `field`: above 0 if better; NaN if either value is missing. */
  const gain = (study, field, trial, other) => pareto.sign(field) * (study.value(field.key, trial) - study.value(field.key, other));

  const isRatio = (field) => field.format === "ratio";

  /** The noun of a field within a sentence: "accuracy", "MACs", "throughput". */
  const noun = (field) => field.label.replace(/^validation /, "");

  function points(difference) {
    const text = (100 * Math.abs(difference)).toFixed(Math.abs(difference) < 0.00095 ? 2 : 1);
    return `${text} points`;
  }

  /** The difference of a value from another in words: "0.4 points more accuracy", "3 % fewer MACs", "the same MACs". */
  function difference(study, field, trial, other) {
    const a = study.value(field.key, trial), b = study.value(field.key, other);
    if (!Number.isFinite(a) || !Number.isFinite(b)) return null;
    const relative = b === 0 ? a - b : (a - b) / Math.abs(b);
    if (isRatio(field) ? Math.abs(a - b) < 5e-5 : Math.abs(relative) < ALIKE) return { text: `the same ${noun(field)}`, better: 0 };
    const word = a > b ? "more" : /s$/.test(noun(field)) ? "fewer" : "less", better = Math.sign(gain(study, field, trial, other));
    if (isRatio(field)) return { text: `${points(a - b)} ${word} ${noun(field)}`, better };
    const times = a / b;
    const size = times >= 2 && b > 0 ? `${times.toFixed(times < 10 ? 1 : 0)} times the` : `${(100 * Math.abs(relative)).toFixed(Math.abs(relative) < 0.1 ? 1 : 0)} % ${word}`;
    return { text: `${size} ${noun(field)}`, better };
  }

  /** The differences of `trial` from `other` in all objectives, as {text, better} with better -1, 0 or 1. */
  function differences(study, trial, other) {
    return objectiveFields(study).map((field) => difference(study, field, trial, other)).filter(Boolean);
  }

  const objectiveFields = (study) => study.objectives.map(({ name }) => study.field(name)).filter(Boolean);

  /** The fields of values other than objectives: costs, measured and trained values, without the ends of their intervals. */
  const valueFields = (study) => study.fieldsOf("cost", "measured", "trained").filter(({ kind, direction }) => kind === "number" && direction);

  /** The trials of the front by the first cheap objective, or the first one, ascending. */
  function orderedFront(study) {
    const cheap = study.objectives.find(({ source: from }) => from === "cost") || study.objectives[0];
    const values = study.column(cheap.name);
    return [...study.front].sort((a, b) => values[a] - values[b] || a - b);
  }

  /** Differences of two trials as one number: of each objective in units of its range over the front and the trial. */
  function distance(study, ranges, trial, other) {
    return Math.hypot(...ranges.map(({ field, scale, range }) => (scale(study.value(field.key, trial)) - scale(study.value(field.key, other))) / range));
  }

  function objectiveRanges(study, trials) {
    return objectiveFields(study).map((field) => {
      const scale = (value) => field.log && value > 0 ? Math.log10(value) : value;
      const values = trials.map((trial) => scale(study.value(field.key, trial))).filter(Number.isFinite);
      return { field, scale, range: Math.max(...values) - Math.min(...values) || 1 };
    });
  }

  /** The trial of the front nearest to `trial` among those that dominate it; null if none does. */
  function dominator(study, trial) {
    const fields = objectiveFields(study), signs = fields.map(pareto.sign), values = fields.map(({ key }) => study.column(key));
    const better = [...study.front].filter((other) => pareto.dominates(other, trial, values, signs));
    if (!better.length) return null;
    const ranges = objectiveRanges(study, [...study.front, trial]);
    return better.reduce((best, other) => distance(study, ranges, trial, other) < distance(study, ranges, trial, best) ? other : best);
  }

  /** The next trials of the front with more and with less of the primary objective: {above, below}, null without one. */
  function neighboursOnFront(study, trial) {
    const { primary } = study, field = study.field(primary.name);
    const gains = [...study.front].filter((other) => other !== trial).map((other) => ({ other, by: gain(study, field, other, trial) }));
    const next = (sign) => {
      const side = gains.filter(({ by }) => sign * by > 0).sort((a, b) => sign * (a.by - b.by));
      return side.length ? side[0].other : null;
    };
    return { above: next(1), below: next(-1) };
  }

  /** The rank of a counted trial by the primary objective, from 1. */
  function rank(study, trial) {
    const field = study.field(study.primary.name);
    return 1 + study.counted.filter((other) => gain(study, field, other, trial) > 0).length;
  }

  // Neighbours in the space -------------------------------------------------------------------------------------------

  /** "stages.0.conv.k" -> "stage 1 conv k". */
  function choiceLabel(field) {
    return field.label.replace(/^stages\.(\d+)\./, (_, index) => `stage ${Number(index) + 1} `).replace(/[._]/g, " ");
  }

  /** The choices of a trial that differ from those of another: fields that both have, and how many only one has. */
  function differingChoices(study, trial, other) {
    const both = [];
    let oneSided = 0;
    for (const field of study.fieldsOf("choice")) {
      const a = study.value(field.key, trial), b = study.value(field.key, other);
      if (a === b) continue;
      if (a < 0 || b < 0) oneSided += 1;
      else both.push(field);
    }
    return { both, oneSided };
  }

  /** The `count` trials with a result whose choices differ least from those of `trial`: [{trial, fields, oneSided}]. */
  function nearest(study, trial, count) {
    const shown = new Set(["complete", "stopped", "failed"]);
    const candidates = [];
    const choices = study.fieldsOf("choice").map(({ key }) => study.column(key));
    for (let other = 0; other < study.count; other++) {
      if (other === trial || !shown.has(study.text("state", other))) continue;
      let both = 0, oneSided = 0;
      for (const column of choices) {
        const a = column[trial], b = column[other];
        if (a === b) continue;
        if (a < 0 || b < 0) oneSided += 1;
        else both += 1;
      }
      if (both + oneSided) candidates.push({ other, weight: both + PART_OF_ONE_SIDED * oneSided });
    }
    candidates.sort((a, b) => a.weight - b.weight || a.other - b.other);
    return candidates.slice(0, count).map(({ other }) => {
      const { both, oneSided } = differingChoices(study, trial, other);
      return { trial: other, fields: both, oneSided };
    });
  }

  return { points, difference, differences, objectiveFields, valueFields, orderedFront, dominator, neighboursOnFront, rank, choiceLabel, nearest };
})();
