// Which values of the search space's parameters the front prefers: odds ratios of the front against the other complete trials.

const preferences = (() => {
  const PREFIX = "param:", Z_95 = 1.959964;
  const FIRST = ["mixer", "channel_mixer", "width", "depth", "groups", "stem.patch", "layout", "num_stages", "residual"];

  /** "param:stages.1.conv.k" -> {name: "conv.k", stage: 1}; parameters outside stages have the stage null. */
  function parsed(key) {
    const match = /^stages\.(\d+)\.(.+)$/.exec(key.slice(PREFIX.length));
    return match ? { name: match[2], stage: Number(match[1]) } : { name: key.slice(PREFIX.length), stage: null };
  }

  /** "stage 2 mixer". */
  const label = (key) => standing.choiceLabel({ label: key.slice(PREFIX.length) });

  /**
   * The odds ratio of a 2 x 2 table, 1/2 added to each number, and its 95 % interval.
   * `a`: on the front with the value; `b`: on the front without; `c`, `d`: the same for the other trials. Where a row or a column
   * is empty there is nothing to compare: the ratio is 1. The same as nas/analysis/preferences.py.
   */
  function oddsRatio(a, b, c, d) {
    const [p, q, r, s] = [a, b, c, d].map((number) => number + 0.5);
    const isEmpty = !(a + b) || !(c + d) || !(a + c) || !(b + d);
    const ratio = isEmpty ? 1 : (p * s) / (q * r), spread = Math.exp(Z_95 * Math.sqrt(1 / p + 1 / q + 1 / r + 1 / s));
    return { ratio, low: ratio / spread, high: ratio * spread };
  }

  /** A row for a parameter: {key, name, stage, total, front, cells: [{text, front, all, ratio, low, high}]} by value. */
  function rowOf(study, field) {
    const codes = study.column(field.key), all = new Array(field.codes.length).fill(0), front = new Array(field.codes.length).fill(0);
    for (const trial of study.counted) if (codes[trial] >= 0) all[codes[trial]] += 1;
    for (const trial of study.front) if (codes[trial] >= 0) front[codes[trial]] += 1;
    const sum = (numbers) => numbers.reduce((a, b) => a + b, 0), total = sum(all), onFront = sum(front);
    const cells = field.codes.map((text, i) => {
      const odds = oddsRatio(front[i], onFront - front[i], all[i] - front[i], total - onFront - (all[i] - front[i]));
      return { text, front: front[i], all: all[i], ...odds };
    });
    return { key: field.key, ...parsed(field.key), total, front: onFront, cells };
  }

  const rank = (name) => {
    const at = FIRST.findIndex((first) => name === first || name.endsWith(`.${first}`));
    return at < 0 ? FIRST.length : at;
  };

  /** Parameters of all stages together: [{name, isMain, values, rows}], the main ones first. `values` in the order of legends. */
  function groups(study) {
    const byName = new Map();
    for (const field of study.fieldsOf("choice")) {
      const row = rowOf(study, field);
      if (row.cells.filter(({ all }) => all).length < 2) continue; // not a choice
      if (!byName.has(row.name)) byName.set(row.name, []);
      byName.get(row.name).push(row);
    }
    const list = [...byName].map(([name, rows]) => ({
      name, isMain: rank(name) < FIRST.length, rows: rows.sort((a, b) => a.stage - b.stage),
      values: theme.ordered(new Set(rows.flatMap(({ cells }) => cells.filter(({ all }) => all).map(({ text }) => text)))),
    }));
    return list.sort((a, b) => rank(a.name) - rank(b.name) || a.name.localeCompare(b.name));
  }

  const isClear = ({ low, high }) => low > 1 || high < 1;

  return { groups, parsed, label, oddsRatio, isClear, PREFIX };
})();
