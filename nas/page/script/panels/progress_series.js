// How a search went: hypervolume, best value, size of the front and speed, over complete trials or over time.

const progressSeries = (() => {
  const MAX_RATES = 400, SMALLEST_WINDOW = 10, LARGEST_WINDOW = 100, FEWEST_TRIALS = 3;

  /** When the work on a trial ended. One that waited at a rung is told only later, often with many others at once. */
  function workEnd(study, trial) {
    const segments = study.segments.get(trial) || [], last = segments[segments.length - 1];
    return last && Number.isFinite(last.end) ? last.end : study.value("finished", trial);
  }

  /** Times at which the work on trials that count towards the study's number of trials ended, ascending. */
  function trainedTimes(study) {
    const codes = study.field("state").codes, states = study.column("state"), finished = study.column("finished");
    const counts = codes.map((name) => columns.TRAINED.includes(name));
    return Array.from({ length: study.count }, (_, i) => i).filter((i) => counts[states[i]] && Number.isFinite(finished[i]))
      .map((i) => workEnd(study, i)).sort((a, b) => a - b);
  }

  const windowSize = (count) => Math.min(LARGEST_WINDOW, Math.max(SMALLEST_WINDOW, Math.round(count / 20)));

  /** Trials per hour over the last trials before `times[i]`, and the number of these; NaN for the first trials. */
  function rateAt(times, i, size = windowSize(times.length)) {
    const first = Math.max(0, i - size), seconds = times[i] - times[first];
    return seconds > 0 && i - first >= FEWEST_TRIALS ? { rate: 3600 * (i - first) / seconds, trials: i - first } : { rate: NaN, trials: 0 };
  }

  /** The state of the front after each trial of `study.finishedOrder`: {rank, trial, hypervolume, size} where it changed. */
  function frontSteps(study) {
    const { trial, hypervolume, removedBy } = study.history;
    const ranks = new Map(study.finishedOrder.map((number, i) => [number, i + 1])), removed = new Map();
    removedBy.forEach((by) => { if (by >= 0) removed.set(by, (removed.get(by) || 0) + 1); });
    let size = 0;
    return Array.from(trial, (number, i) => {
      size += 1 - (removed.get(number) || 0);
      return { rank: ranks.get(number), trial: number, hypervolume: hypervolume[i], size };
    });
  }

  /** Where the best value of the primary objective changed: {rank, trial, value}. */
  function bestSteps(study) {
    const values = study.column(study.primary.name), sign = study.primary.direction === "maximize" ? 1 : -1;
    const steps = [];
    study.finishedOrder.forEach((trial, i) => {
      const last = steps[steps.length - 1];
      if (!Number.isNaN(values[trial]) && (!last || sign * (values[trial] - last.value) > 0)) steps.push({ rank: i + 1, trial, value: values[trial] });
    });
    return steps;
  }

  /** Trials per hour, at most `MAX_RATES` points: {rank: number of complete trials, time, rate}. */
  function rates(study) {
    const times = trainedTimes(study), complete = study.finishedOrder.map((trial) => study.value("finished", trial));
    const step = Math.max(1, Math.ceil(times.length / MAX_RATES)), points = [];
    let rank = 0;
    for (let i = 0; i < times.length; i++) {
      while (rank < complete.length && complete[rank] <= times[i]) rank += 1;
      if (i % step && i !== times.length - 1) continue;
      points.push({ rank, time: times[i], rate: rateAt(times, i).rate });
    }
    return points;
  }

  return { trainedTimes, windowSize, rateAt, frontSteps, bestSteps, rates };
})();
