// How long a search takes until it has its number of trials, or until its time budget is spent.

const timeLeft = (() => {
  const seconds = (time) => typeof time === "string" ? Date.parse(time) / 1000 : time;

  /** Trials per hour of late, by the trials since the start of the last search: {rate, trials}. */
  function currentRate(study) {
    const all = progressSeries.trainedTimes(study), since = seconds((study.meta.target || {}).since);
    const recent = since ? all.filter((time) => time >= since) : all;
    const times = recent.length > 2 ? recent : all;
    return times.length ? progressSeries.rateAt(times, times.length - 1, progressSeries.windowSize(times.length)) : { rate: NaN, trials: 0 };
  }

  function trialsLeft(study) {
    const { trials } = study.meta.target || {};
    return trials ? Math.max(0, trials - study.trained) : null;
  }

  function budgetLeft(study) {
    const { time_budget_s: budget, since } = study.meta.target || {};
    return budget && since ? Math.max(0, seconds(since) + budget - Date.now() / 1000) : null;
  }

  /** {value, note}: the time left in words. */
  function words(study) {
    const { rate } = currentRate(study), trials = trialsLeft(study), budget = budgetLeft(study);
    if (trials === 0) return { value: "none", note: "the study has its number of trials" };
    const needed = trials === null || Number.isNaN(rate) ? null : 3600 * trials / rate;
    const more = trials === null ? "" : `${format.count(trials, "trial")} to go`;
    if (!study.searching) {
      const wait = needed === null ? "" : `, about ${format.roughly(needed)} at the last rate`;
      return { value: "not running", note: more ? `${more}${wait}` : study.meta.end_reason || "no target is recorded" };
    }
    if (budget !== null && (needed === null || budget < needed)) return { value: `about ${format.roughly(budget)}`, note: "until the time budget is spent" };
    if (needed === null) return { value: format.MISSING, note: more || "no target is recorded" };
    return { value: `about ${format.roughly(needed)}`, note: `${more} at the current rate` };
  }

  return { words, currentRate };
})();
