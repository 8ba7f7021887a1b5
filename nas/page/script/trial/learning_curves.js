// The learning curve of a trial: its validation accuracy against those of the front, and its losses.

const learningCurves = (() => {
  const MAX_OTHERS = 60; // curves of the front behind the one of the trial

  /** The epochs of the validated values of a trial, if its whole curve is known, else 1, 2, 3, ... */
  function epochsOf(detail, count) {
    const { curve } = detail;
    const validated = curve && curve.val_accuracy ? curve.epoch.filter((_, i) => curve.val_accuracy[i] !== null) : [];
    return validated.length === count ? validated : Array.from({ length: count }, (_, i) => i + 1);
  }

  const places = (list) => Array.from(list);

  /** Validation accuracies of `trial`; the epochs are those of `detail` where both have as many. */
  function series(study, trial, epochs) {
    const y = places(study.curves[trial] || []);
    return { x: epochs.length >= y.length ? epochs.slice(0, y.length) : y.map((_, i) => i + 1), y };
  }

  function accuracyChart(study, trial, detail) {
    const own = places(study.curves[trial] || []);
    if (own.length < 2) return null;
    const longest = Math.max(own.length, ...[...study.front].map((other) => (study.curves[other] || []).length));
    const epochs = epochsOf(detail, own.length);
    const step = epochs.length > 1 ? epochs[1] - epochs[0] : 1;
    while (epochs.length < longest) epochs.push(epochs[epochs.length - 1] + step);
    const others = columns.evenly([...study.front].filter((other) => other !== trial && (study.curves[other] || []).length > 1), MAX_OTHERS);
    return lineChart.draw(
      [
        ...others.map((other) => ({ ...series(study, other, epochs), colour: "var(--soft)", opacity: 0.35, name: `trial ${other}` })),
        { ...series(study, trial, epochs), colour: "var(--accent)", width: 2.5, isMain: true },
      ],
      {
        title: others.length ? "Validation accuracy, and that of the front in grey" : "Validation accuracy",
        label: `Validation accuracy of trial ${trial} over ${format.count(own.length, "validated epoch")}`,
        yText: (value) => value.toFixed(2), readout: (x, y) => `epoch ${x}: ${format.ratio(y)}`,
      },
    );
  }

  function lossChart(trial, { curve }) {
    if (!curve || !curve.train_loss || curve.epoch.length < 2) return null;
    const values = (key) => (curve[key] || []).map((value) => value === null ? NaN : value);
    return lineChart.draw(
      [
        { x: curve.epoch, y: values("val_loss"), colour: theme.COLOURS[1], width: 2, dash: "5 3", name: "validation" },
        { x: curve.epoch, y: values("train_loss"), colour: theme.COLOURS[0], width: 2, name: "training", isMain: true },
      ],
      { title: "Loss", label: `Losses of trial ${trial}`, yText: (value) => format.si(value), readout: (x, y) => `epoch ${x}: ${format.si(y)} in training`, legend: true },
    );
  }

  /** The charts of a trial; empty without a curve of two epochs. */
  const draw = (study, trial, detail) => [accuracyChart(study, trial, detail), lossChart(trial, detail)].filter(Boolean);

  return { draw, series, epochsOf };
})();
