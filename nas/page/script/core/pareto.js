// Pareto dominance among points of two or more objectives, given as columns.

const pareto = (() => {
  const sign = (field) => field.direction === "minimize" ? -1 : 1;

  function dominates(a, b, columns, signs) {
    let better = false;
    for (let k = 0; k < columns.length; k++) {
      const difference = signs[k] * (columns[k][a] - columns[k][b]);
      if (difference < 0) return false;
      if (difference > 0) better = true;
    }
    return better;
  }

  function frontOfTwo(trials, [first, second], [signFirst, signSecond]) {
    const order = [...trials].sort((a, b) => signFirst * (first[b] - first[a]) || signSecond * (second[b] - second[a]));
    const front = [];
    let best = -Infinity, bestFirst = NaN;
    for (const trial of order) {
      const value = signSecond * second[trial];
      if (value > best || (value === best && first[trial] === bestFirst)) {
        front.push(trial);
        best = value;
        bestFirst = first[trial];
      }
    }
    return front;
  }

  /**
   * The trials that no other of `trials` dominates, in the plane or space of `fields`; equal points stay.
   * `columns` are the values by field, indexed by trial. Trials with a missing value are left out.
   */
  function front(trials, fields, columns) {
    const signs = fields.map(sign);
    const known = trials.filter((trial) => columns.every((column) => Number.isFinite(column[trial])));
    if (fields.length === 2) return frontOfTwo(known, columns, signs);
    const order = known.sort((a, b) => signs[0] * (columns[0][b] - columns[0][a]));
    const kept = [];
    for (const trial of order) {
      if (kept.some((other) => dominates(other, trial, columns, signs))) continue;
      for (let i = kept.length - 1; i >= 0; i--) if (dominates(trial, kept[i], columns, signs)) kept.splice(i, 1);
      kept.push(trial);
    }
    return kept;
  }

  return { front, dominates, sign };
})();
