// The front that a model expects, in panel "Front": its trials at the values expected of them, and their staircase.

const frontExpected = (() => {
  const COLOUR = "--ink", SYMBOL = "circle-open-dot";

  /** {trials, columns: values by axis, of any trial, ends: [low, high] by axis or null}; null if it is not shown. */
  function placed({ study, view, rules, points }) {
    const found = view.expected && expected.of(study);
    if (!found) return null;
    const trials = [...found.front].filter((trial) => trial < study.count && frontLimits.allows(rules, trial) && points.columns.every((values) => !Number.isNaN(values[trial])));
    const isExpected = ({ field }) => field.key === found.objective;
    const columnOf = (axis, i) => {
      const values = Float64Array.from(points.columns[i]);
      if (isExpected(axis)) for (const trial of trials) values[trial] = found.value(trial);
      return values;
    };
    const axes = frontView.axes(view);
    return { trials, found, columns: axes.map(columnOf), axes, isExpected };
  }

  function errors({ view }, { trials, found, axes, isExpected }) {
    if (!view.errors || view.z) return {};
    const bars = {
      type: "data", symmetric: false, thickness: 1, width: 0, color: theme.colour(COLOUR),
      array: trials.map((trial) => found.high(trial) - found.value(trial)), arrayminus: trials.map((trial) => found.value(trial) - found.low(trial)),
    };
    return Object.fromEntries(axes.filter(isExpected).map(({ name }) => [`error_${name}`, bars]));
  }

  function at(trials, columns) {
    const [x, y, z] = columns.map((values) => trials.map((trial) => values[trial]));
    return { type: z ? "scatter3d" : "scatter", customdata: trials, hoverinfo: "none", legendgroup: "expected", x, y, ...(z ? { z } : {}) };
  }

  /** The traces; none while no model expects anything. */
  function traces(scene) {
    const place = placed(scene), { view } = scene;
    if (!place || !place.trials.length) return [];
    const color = theme.colour(COLOUR);
    const marker = { symbol: view.z ? "circle-open" : SYMBOL, size: view.z ? 5 : 8, color, line: { width: 1.4, color } };
    const points = { ...at(place.trials, place.columns), ...errors(scene, place), mode: "markers", meta: "expected", name: expected.NAME, marker };
    return [...line(scene, place, color), points];
  }

  /** The front of the shown axes by expected values; none where no value on an axis is better. */
  function line({ view }, { trials, columns }, color) {
    const { x, y, z } = view;
    if (z || x.field === y.field || !x.field.direction || !y.field.direction) return [];
    const steps = pareto.front(trials, [x.field, y.field], columns).sort((a, b) => columns[0][a] - columns[0][b]);
    const shape = x.field.direction === "minimize" ? "hv" : "vh";
    return [{ ...at(steps, columns), hoverinfo: "skip", mode: "lines", meta: "expected line", showlegend: false, line: { width: 1.3, color, shape } }];
  }

  /** What the marks are, in a sentence; empty if there are none. */
  function sentence(scene) {
    const place = placed(scene);
    if (!place) return "";
    const { found, trials } = place, isLucky = (trial) => expected.knows(found, trial) && !found.front.has(trial);
    const lucky = [...scene.study.front].filter((trial) => isLucky(trial) && frontLimits.allows(scene.rules, trial)).length;
    const rest = lucky ? `; ${lucky} on the front of results ${lucky === 1 ? "is" : "are"} not on it` : "";
    return `Expected front: the ${format.count(trials.length, "trial")} on the front by the ${found.field.label} that a model of ${format.count(found.trials, "result")} expects of each, without the luck of single trainings${rest}.`;
  }

  return { traces, sentence };
})();
