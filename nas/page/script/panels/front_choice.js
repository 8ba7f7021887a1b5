// "Which one should I take?": a few trials within the limits, each with the reason for it.
//
// The knee is the front's point farthest above the line from its cheapest to its best point, after both axes were scaled to 0..1
// (a cost by its logarithm where ratios matter): Branke et al., "Finding Knees in Multi-objective Optimization", 2004; Satopaa et
// al., "Finding a 'Kneedle' in a Haystack", 2011. Beyond it, the same factor of cost buys less than on average.

const frontChoice = (() => {
  const MAX_STEPS = 5; // cards of cost steps
  const DEFAULT_NOISE = 0.01; // of a ratio such as accuracy, where the noise of a training was not measured

  const sign = (field) => field.direction === "minimize" ? -1 : 1;
  const text = (field, value) => field.format === "si" ? format.brief(value, field.unit || field.label) : format.value(field, value);
  const atCost = (field, value) => `${field.direction === "minimize" ? "at most" : "at least"} ${text(field, value)}`;

  /** The best of `trials` in `field`; ties by the further `ties`, then the earliest. -1 without a value. */
  function best(study, trials, field, ties = []) {
    const columns = [field, ...ties].map((each) => [sign(each), study.numbers(each.key)]);
    let found = -1;
    for (const trial of trials) {
      if (Number.isNaN(columns[0][1][trial])) continue;
      if (found < 0 || isBetter(columns, trial, found)) found = trial;
    }
    return found;
  }

  function isBetter(columns, trial, other) {
    for (const [direction, values] of columns) {
      const gain = direction * (values[trial] - values[other]);
      if (gain > 0) return true;
      if (!(gain === 0)) return false;
    }
    return false;
  }

  /** The objectives beside the primary one, and the field of the shown axis if its direction is known; the axis comes first. */
  function costFields(study, shown) {
    const others = study.objectives.map(({ name }) => study.field(name)).filter(({ key }) => key !== study.primary.name);
    const isCost = shown && shown.direction && shown.key !== study.primary.name;
    const fields = isCost ? [shown, ...others.filter((field) => field !== shown)] : others;
    return fields.length || !study.field("macs") ? fields : [study.field("macs")];
  }

  /** Each trial's place between the worst and the best of `trials`, 0 to 1. */
  function scaled(study, trials, field) {
    const values = study.numbers(field.key), isLog = field.log && trials.every((trial) => values[trial] > 0);
    const position = (trial) => sign(field) * (isLog ? Math.log(values[trial]) : values[trial]);
    const [low, high] = frontLimits.extent(trials.map(position));
    return (trial) => (position(trial) - low) / (high - low);
  }

  /** The knee of the front of `goal` and `cost` among `trials`; -1 if no point is above the line. */
  function knee(study, trials, goal, cost) {
    const front = pareto.front(trials, [goal, cost], [study.numbers(goal.key), study.numbers(cost.key)]);
    if (front.length < 3) return -1;
    const u = scaled(study, front, goal), v = scaled(study, front, cost);
    let found = -1, farthest = 1e-9;
    for (const trial of front) {
      const distance = u(trial) + v(trial) - 1;
      if (distance > farthest) [found, farthest] = [trial, distance];
    }
    return found;
  }

  /** Bounds between costs: decades over a wide range, else the series 1, 2, 5. */
  function steps(low, high) {
    const factors = Math.log10(high / low) >= 1.7 ? [1] : [1, 2, 5], edges = [];
    for (let exponent = Math.floor(Math.log10(low)); exponent <= Math.ceil(Math.log10(high)); exponent++)
      for (const factor of factors) edges.push(Number(`${factor}e${exponent}`));
    return edges.filter((edge) => edge > low && edge < high);
  }

  function stepCards(study, trials, goal, cost) {
    const values = study.numbers(cost.key), known = trials.filter((trial) => values[trial] > 0);
    if (!cost.log || known.length < 2) return [];
    const edges = steps(...frontLimits.extent(known.map((trial) => values[trial])));
    const ordered = cost.direction === "minimize" ? edges : edges.reverse();
    const cards = ordered.map((edge) => {
      const within = known.filter((trial) => sign(cost) * (values[trial] - edge) >= 0);
      const title = `Best with ${atCost(cost, edge)}`;
      return { trial: best(study, within, goal, [cost]), title, why: `the best ${goal.label} of ${format.count(within.length, "trial")}` };
    });
    return spread(distinct(cards), MAX_STEPS);
  }

  /** Without cards of the trial of the card before. */
  const distinct = (cards) => cards.filter(({ trial }, i) => trial >= 0 && (i === 0 || cards[i - 1].trial !== trial));

  /** At most `count` of `items`, evenly spread. */
  const spread = (items, count) => items.length <= count ? items : Array.from({ length: count }, (_, i) => items[Math.round(i * (items.length - 1) / (count - 1))]);

  /** What counts as equal to the best: {width, text}. */
  function tolerance(study, goal) {
    const noise = study.noise && study.noise[goal.key];
    if (noise) return { width: noise, text: `${format.value(goal, noise)} (noise of one training)` };
    if (goal.format === "ratio") return { width: DEFAULT_NOISE, text: `${format.value(goal, DEFAULT_NOISE)} (noise not measured)` };
    return null;
  }

  function nearBestCards(study, trials, goal, costs, bestTrial) {
    const near = tolerance(study, goal), values = study.numbers(goal.key);
    if (!near || bestTrial < 0) return [];
    const close = trials.filter((trial) => sign(goal) * (values[bestTrial] - values[trial]) <= near.width);
    return close.length < 2 ? [] : costs.map((cost) => ({
      trial: best(study, close, cost, [goal]), title: `${format.capitalised(superlative(cost))} near the best`,
      why: `of ${format.count(close.length, "trial")} within ${near.text} of the best`,
    })).filter(({ trial }) => trial >= 0);
  }

  /** "fewest MACs", "highest throughput". */
  function superlative(cost) {
    if (cost.direction === "maximize") return `highest ${cost.label}`;
    return `${cost.key === "macs" || cost.key === "params" ? "fewest" : "lowest"} ${cost.label}`;
  }

  function kneeCard(study, trials, goal, cost) {
    const worse = `${cost.direction === "maximize" ? "less" : "more"} ${cost.label}`;
    return {
      trial: knee(study, trials, goal, cost), title: "Knee of the front", why: `beyond it, little is gained for ${worse}`,
      more: `Farthest above the line from the cheapest to the best trial, in ${goal.label} and ${cost.log ? "the logarithm of " : ""}${cost.label}`,
    };
  }

  /**
   * Cards [{trial, reasons: [{title, why, more}]}] for `trials`, those that count and are within the limits; a trial has one card.
   * `shown` is the field of the horizontal axis.
   */
  function recommend(study, trials, shown) {
    const goal = study.field(study.primary.name), costs = costFields(study, shown), [cost] = costs;
    const bestTrial = best(study, trials, goal, costs);
    const cards = [{ trial: bestTrial, title: `Best ${goal.label}`, why: `the ${sign(goal) > 0 ? "highest" : "lowest"} of ${format.count(trials.length, "trial")}` }];
    if (cost) {
      cards.push(kneeCard(study, trials, goal, cost));
      cards.push(...nearBestCards(study, trials, goal, costs, bestTrial), ...stepCards(study, trials, goal, cost));
    }
    return merged(cards.filter(({ trial }) => trial >= 0));
  }

  function merged(cards) {
    const byTrial = new Map();
    for (const { trial, ...reason } of cards) byTrial.set(trial, [...(byTrial.get(trial) || []), reason]);
    return [...byTrial].map(([trial, reasons]) => ({ trial, reasons }));
  }

  /** Of `trials`, the one that violates `rules` least, the violations being shares of each value's range; -1 without one. */
  function nearest(study, trials, rules) {
    const scales = rules.map(({ field, values }) => {
      const isLog = field.log && trials.every((trial) => !(values[trial] <= 0));
      const position = (value) => isLog ? Math.log(value) : value;
      const [low, high] = frontLimits.extent(trials.map((trial) => position(values[trial])));
      return { position, span: high - low || 1 };
    });
    let found = -1, least = Infinity;
    for (const trial of trials) {
      const excess = rules.reduce((sum, rule, i) => sum + violation(rule, trial, scales[i]), 0);
      if (excess < least) [found, least] = [trial, excess];
    }
    return found;
  }

  function violation({ values, atLeast, atMost }, trial, { position, span }) {
    const at = position(values[trial]);
    const below = atLeast === null ? 0 : position(atLeast) - at, above = atMost === null ? 0 : at - position(atMost);
    return Math.max(0, below, above) / span;
  }

  /** The best trial, the knee of the front and the cheapest trial: number -> "best", "knee" or "cheapest". */
  function landmarks(study) {
    const goal = study.field(study.primary.name), costs = costFields(study, null);
    const cost = costs.find(({ direction }) => direction === "minimize") || costs[0];
    const ends = [[study.best, "best"], ...(cost ? [[best(study, study.counted, cost, [goal]), "cheapest"], [knee(study, study.counted, goal, cost), "knee"]] : [])];
    const words = new Map();
    for (const [trial, word] of ends) if (trial >= 0 && !words.has(trial)) words.set(trial, word);
    return words;
  }

  return { recommend, landmarks, nearest };
})();
