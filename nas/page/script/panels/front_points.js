// The points of panel "Front": which trials are drawn, and where.

const frontPoints = (() => {
  const MAX_DRAWN = 2500; // dominated trials in the visible part; as SVG, more take longer than a click should
  const MARGIN = 0.06; // around the front, when zoomed to it
  const GRID = 160; // cells along an axis of the finest grid for thinning

  /** Values along an axis, NaN where a trial cannot be drawn; stopped trials have the accuracy at the rung where they stopped. */
  function axisValues(study, { field, log }) {
    const values = Float64Array.from(study.numbers(field.key));
    if (field.key === "accuracy") fillStopped(study, values);
    if (log) for (let i = 0; i < values.length; i++) if (!(values[i] > 0)) values[i] = NaN;
    return values;
  }

  function fillStopped(study, values) {
    const stopped = study.field("state").codes.indexOf("stopped"), states = study.column("state");
    for (let i = 0; i < values.length; i++) {
      const curve = study.curves[i];
      if (states[i] === stopped && Number.isNaN(values[i]) && curve && curve.length) values[i] = curve[curve.length - 1];
    }
  }

  /** Numbers of the trials that do not count, by kind (`frontView.KINDS`). */
  function kinds(study) {
    const found = { infeasible: [], stopped: [], refused: [], failed: [] };
    const { codes } = study.field("state"), states = study.column("state"), feasible = study.column("feasible");
    for (let i = 0; i < study.count; i++) {
      const name = codes[states[i]], kind = name === "complete" && !feasible[i] ? "infeasible" : name;
      if (found[kind]) found[kind].push(i);
    }
    return found;
  }

  /** The trials that count: on the study's front, dominated, outside the limits `rules`, or without a value on an axis. */
  function split(study, columns, rules) {
    const parts = { front: [], dominated: [], outside: [], missing: [] };
    for (const trial of study.counted) {
      if (columns.some((values) => Number.isNaN(values[trial]))) parts.missing.push(trial);
      else if (!frontLimits.allows(rules, trial)) parts.outside.push(trial);
      else (study.front.has(trial) ? parts.front : parts.dominated).push(trial);
    }
    return parts;
  }

  /**
   * At most `MAX_DRAWN` of `trials` that look like all of them: the first trial of each cell of a grid over `ranges`.
   * A trial keeps its place in the figure while later ones come. `ranges` are [low, high] in the units of `positions`.
   */
  function thinned(trials, positions, ranges) {
    const visible = trials.filter((trial) => positions.every((values, i) => values[trial] >= ranges[i][0] && values[trial] <= ranges[i][1]));
    let kept = visible;
    for (let cells = GRID; kept.length > MAX_DRAWN; cells = Math.floor(cells * 0.7)) kept = firstOfCells(visible, positions, ranges, cells);
    return { kept, hidden: visible.length - kept.length };
  }

  function firstOfCells(trials, positions, ranges, cells) {
    const taken = new Set();
    const scales = ranges.map(([low, high]) => cells / (high - low || 1));
    return trials.filter((trial) => {
      let cell = 0;
      positions.forEach((values, i) => { cell = cell * (cells + 1) + Math.floor((values[trial] - ranges[i][0]) * scales[i]); });
      return !taken.has(cell) && taken.add(cell);
    });
  }

  /** Positions along an axis: the logarithm on a logarithmic one, as in the ranges of plotly. */
  const positionsOf = (values, log) => log ? values.map(Math.log10) : values;

  /** Ranges that hold `trials`. */
  const rangesOf = (trials, positions) => positions.map((values) => frontLimits.extent(trials.map((trial) => values[trial])));

  /** The ranges of the front with a margin, in the units of plotly's ranges. */
  function rangesOfFront(view, { front, columns }) {
    const positions = columns.map((values, i) => positionsOf(values, frontView.axes(view)[i].log));
    return rangesOf(front, positions).map(([low, high]) => {
      const margin = MARGIN * (high - low) || 0.5;
      return [low - margin, high + margin];
    });
  }

  /** Of each kind: how many trials there are, those to draw, and those without a value on a further axis, drawn on the edge. */
  function drawnKinds(study, columns, thin) {
    const [x, ...rest] = columns, isKnown = (trial) => rest.every((values) => !Number.isNaN(values[trial]));
    return Object.fromEntries(Object.entries(kinds(study)).map(([kind, trials]) => {
      const placed = trials.filter((trial) => !Number.isNaN(x[trial]));
      const onEdge = rest.length === 1 ? thin(placed.filter((trial) => !isKnown(trial)), 1).kept : [];
      return [kind, { count: trials.length, drawn: thin(placed.filter(isKnown)).kept, onEdge }];
    }));
  }

  /**
   * All that is drawn for `view` (`frontView.current`) under `rules` (`frontLimits.active`).
   * `zoom`: [[low, high] of x, of y] of the visible part, or null for all.
   */
  function of(study, view, rules, zoom) {
    const axes = frontView.axes(view), columns = axes.map((axis) => axisValues(study, axis));
    const parts = split(study, columns, rules), positions = columns.map((values, i) => positionsOf(values, axes[i].log));
    const visible = axes.length === 2 ? zoom : null;
    const thin = (trials, dimensions = axes.length) => {
      const used = positions.slice(0, dimensions);
      return thinned(trials, used, visible ? visible.slice(0, dimensions) : rangesOf(trials, used));
    };
    const dominated = thin(parts.dominated), outside = thin(parts.outside), counted = [...parts.front, ...parts.dominated, ...parts.outside];
    return {
      columns, ranges: visible || rangesOf(counted, positions), front: parts.front, dominated: dominated.kept, outside: outside.kept,
      within: [...parts.front, ...parts.dominated], kinds: drawnKinds(study, columns, thin),
      hidden: dominated.hidden + outside.hidden, missing: parts.missing.length, total: counted.length,
    };
  }

  /** True if no point is drawn. */
  const isEmpty = ({ view, points }) => !points.total && ![...view.kinds].some((kind) => points.kinds[kind] && (points.kinds[kind].drawn.length || points.kinds[kind].onEdge.length));

  return { of, rangesOfFront, thinned, isEmpty, MAX_DRAWN };
})();
