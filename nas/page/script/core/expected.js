// What a model expects of trials if their objective were known without the noise of single trainings (nas/page/expected.py).

const expected = (() => {
  const NAME = "expected front";
  const known = new WeakMap(); // the part of the analysis -> what `of` returns

  /**
   * {objective, field, trials, front, value(trial), low(trial), high(trial)} of a study; null while it is not known. `front` is a Set,
   * `trials` the number of results that the model knew; values are NaN of trials that it has not learned from.
   */
  function of(study) {
    const plain = study.analysis && study.analysis.expected;
    if (!plain) return null;
    if (!known.has(plain)) known.set(plain, decoded(plain));
    return { ...known.get(plain), field: study.field(plain.objective) };
  }

  function decoded({ objective, trials, front, trial, value, low, high }) {
    const places = new Map(Array.from(columns.decode(trial), (number, i) => [number, i]));
    const reader = (encoded) => {
      const values = columns.decode(encoded);
      return (number) => places.has(number) ? values[places.get(number)] : NaN;
    };
    return { objective, trials, front: new Set(columns.decode(front)), value: reader(value), low: reader(low), high: reader(high) };
  }

  /** True of trials whose place the model knows: it has learned from them, or expects them on the front. */
  const knows = ({ front, value }, trial) => front.has(trial) || !Number.isNaN(value(trial));

  /** Half of the central interval, as wide as two standard deviations; NaN where nothing is expected. */
  const deviation = ({ low, high }, trial) => (high(trial) - low(trial)) / 2;

  /** "0.9412 ± 0.0031" */
  function text(found, trial) {
    const value = found.value(trial);
    return Number.isNaN(value) ? format.MISSING : `${format.value(found.field, value, false)} ± ${format.value(found.field, deviation(found, trial), false)}`;
  }

  const label = ({ field }) => `expected ${field.label}`;

  return { NAME, of, knows, deviation, text, label };
})();
