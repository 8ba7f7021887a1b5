// The trials that are compared: those of the address, or else the pinned ones.

const comparedTrials = (() => {
  const MAX_TRIALS = 4;
  const NAME = "compare";

  /** The numbers of the compared trials, at most `MAX_TRIALS`. */
  function list(view) {
    const text = view.state.get(NAME);
    const numbers = text === null ? [...view.pins] : text.split(",").filter(Boolean).map(Number);
    return numbers.filter((trial) => Number.isInteger(trial) && trial >= 0 && trial < view.study.count).slice(0, MAX_TRIALS);
  }

  function store(view, trials) {
    view.state.set({ [NAME]: trials.length ? trials.join(",") : view.pins.size ? "," : null });
  }

  /** Add `trial`, which takes the place of the first where there are too many, or remove it. */
  function toggle(view, trial) {
    const trials = list(view);
    store(view, trials.includes(trial) ? trials.filter((other) => other !== trial) : [...trials, trial].slice(-MAX_TRIALS));
  }

  return { list, store, toggle, MAX_TRIALS };
})();
