// The traces of panel "Front" for plotly, in two or three dimensions.

const frontTraces = (() => {
  const SYMBOLS_3D = { circle: "circle", square: "square", diamond: "diamond", cross: "cross", "triangle-up": "circle-open", "triangle-down": "diamond-open", pentagon: "square-open" };
  const EDGE = 0.015; // height of the marks of trials without a value, as a share of the figure
  const KIND_STYLES = {
    infeasible: { symbol: "circle-open", colour: "--soft" }, stopped: { symbol: "line-ns-open", colour: "--warn" },
    refused: { symbol: "square-open", colour: "--soft" }, failed: { symbol: "x-thin-open", colour: "--bad" },
  };

  /** Coordinates of `trials`, and their numbers, which hover and clicks read. */
  function at(scene, trials) {
    const [x, y, z] = scene.points.columns.map((values) => trials.map((trial) => values[trial]));
    const base = { mode: "markers", hoverinfo: "none", customdata: trials, x, y };
    return z ? { ...base, type: "scatter3d", z } : { ...base, type: "scatter" };
  }

  const symbolOf = (scene, symbol) => scene.points.columns.length > 2 ? SYMBOLS_3D[symbol] || "circle" : symbol;

  /** The symbols of `trials`: one for all if they have the same. */
  function symbolsOf(scene, trials) {
    if (scene.symbols.kind === "none") return "circle";
    if (scene.symbols.field === scene.colours.field) return symbolOf(scene, scene.symbols.style(trials[0]).symbol);
    return trials.map((trial) => symbolOf(scene, scene.symbols.style(trial).symbol));
  }

  // Trials that count

  const LAYERS = {
    dominated: { size: 7, opacity: 0.38, line: { width: 0 } },
    front: { size: 11, opacity: 1, line: { width: 1.2 } },
  };

  function layer(scene, name, trials, marker, legend) {
    const isSpace = scene.points.columns.length > 2, style = LAYERS[name];
    const line = { ...style.line, color: theme.colour("--ink") };
    return {
      ...at(scene, trials), ...legend, meta: name, ...(name === "front" ? errors(scene, trials) : {}),
      marker: { ...marker, size: isSpace ? style.size * 0.6 : style.size, opacity: style.opacity, line, symbol: symbolsOf(scene, trials) },
    };
  }

  function countedTraces(scene) {
    return ["dominated", "front"].flatMap((name) => {
      const trials = scene.points[name];
      if (!trials.length) return [];
      if (scene.colours.kind === "category") return byCategory(scene, name, trials);
      const color = scene.colours.kind === "number" ? trials.map(scene.colours.position) : theme.colour("--accent");
      const marker = scene.colours.kind === "number" ? { color, coloraxis: "coloraxis" } : { color };
      return [layer(scene, name, trials, marker, { showlegend: false })];
    });
  }

  function byCategory(scene, name, trials) {
    const groups = new Map([...scene.colours.palette.keys()].map((category) => [category, []]));
    for (const trial of trials) groups.get(scene.colours.name(trial)).push(trial);
    return [...groups].filter(([, members]) => members.length).map(([category, members]) => {
      const isListed = name === "front" || !scene.points.front.some((trial) => scene.colours.name(trial) === category);
      const legend = { name: format.escaped(category), legendgroup: `colour ${category}`, showlegend: isListed };
      return layer(scene, name, members, { color: scene.colours.palette.get(category).colour }, legend);
    });
  }

  /** Entries of the legend that explain the symbols, if colours do not. */
  function symbolLegend(scene) {
    const { symbols, colours } = scene;
    if (symbols.kind === "none" || symbols.field === colours.field) return [];
    const shown = new Set([...scene.points.front, ...scene.points.dominated].map(symbols.name));
    return [...symbols.palette].filter(([name]) => shown.has(name)).map(([name, { symbol }]) => ({
      ...at(scene, []), x: [null], y: [null], ...(scene.view.z ? { z: [null] } : {}), name: format.escaped(name), legendgroup: `symbol ${name}`,
      marker: { symbol: symbolOf(scene, symbol), color: theme.colour("--soft"), size: 8 },
    }));
  }

  function outsideTrace(scene) {
    const { outside } = scene.points;
    if (!outside.length) return [];
    return [{ ...at(scene, outside), meta: "outside", name: "outside your limits", marker: { color: theme.colour("--soft"), opacity: 0.3, size: scene.view.z ? 4 : 6 } }];
  }

  // Trials that do not count

  function kindTraces(scene) {
    return frontView.KINDS.filter(([kind]) => scene.view.kinds.has(kind)).flatMap(([kind, label]) => {
      const { symbol, colour } = KIND_STYLES[kind], { drawn, onEdge } = scene.points.kinds[kind];
      const marker = { symbol: scene.view.z ? "cross" : symbol, color: theme.colour(colour), size: scene.view.z ? 3 : 8, line: { width: 1.6, color: theme.colour(colour) } };
      const legend = { name: label, legendgroup: kind, meta: kind, marker };
      const traces = [{ ...at(scene, drawn), ...legend }, { ...at(scene, onEdge), ...legend, y: onEdge.map(() => EDGE), yaxis: "y2" }];
      return traces.filter(({ customdata }) => customdata.length).map((trace, i) => ({ ...trace, showlegend: i === 0 }));
    });
  }

  // Error bars

  function errors(scene, trials) {
    if (!scene.view.errors || scene.view.z) return {};
    const bars = {};
    [scene.view.x, scene.view.y].forEach(({ field }, i) => {
      const ends = errorEnds(scene.study, field, trials);
      if (ends) bars[i ? "error_y" : "error_x"] = { type: "data", symmetric: false, ...ends, thickness: 1, width: 3, color: theme.colour("--soft") };
    });
    return bars;
  }

  /** Distances from the values of `trials` to the ends of their intervals; null if the field has none. */
  function errorEnds(study, field, trials) {
    const noise = study.noise && study.noise[field.key];
    if (noise) return { array: trials.map(() => noise), arrayminus: trials.map(() => noise) };
    if (!study.field(`${field.key}_low`)) return null;
    const [values, low, high] = ["", "_low", "_high"].map((end) => study.numbers(field.key + end));
    return { array: trials.map((trial) => high[trial] - values[trial]), arrayminus: trials.map((trial) => values[trial] - low[trial]) };
  }

  // Lines

  const isPlane = ({ view }) => !view.z && view.x.field !== view.y.field;

  /** The front of the two shown axes among the trials within the limits, as a staircase. */
  function staircase(scene) {
    const { x, y } = scene.view;
    if (!isPlane(scene) || !x.field.direction || !y.field.direction) return [];
    const trials = pareto.front(scene.points.within, [x.field, y.field], scene.points.columns);
    trials.sort((a, b) => scene.points.columns[0][a] - scene.points.columns[0][b]);
    return [{
      ...at(scene, trials), mode: "lines", hoverinfo: "skip", meta: "staircase", name: "front of these axes",
      line: { dash: "dot", width: 1.6, color: theme.colour("--soft"), shape: x.field.direction === "minimize" ? "hv" : "vh" },
    }];
  }

  /** A line for each limit on a shown axis, across the figure. */
  function limitLines(scene) {
    if (scene.view.z) return [];
    return scene.rules.flatMap(({ field, atLeast, atMost }) => [atLeast, atMost].filter((value) => value !== null).flatMap((value) => {
      const line = { type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false, meta: "limit", line: { dash: "dash", width: 1.4, color: theme.colour("--accent") } };
      const across = { x: { x: [value, value], y: [0, 1], yaxis: "y2" }, y: { x: [0, 1], y: [value, value], xaxis: "x2" } };
      return [scene.view.x, scene.view.y].filter((axis) => axis.field === field && isInside(scene, axis, value)).map(({ name }) => ({ ...line, ...across[name] }));
    }));
  }

  /** True if a mark at `value` would not stretch the axis beyond the trials. */
  function isInside(scene, { name, log }, value) {
    const [low, high] = scene.points.ranges[name === "x" ? 0 : 1], position = log ? Math.log10(value) : value;
    const margin = 0.05 * (high - low);
    return position >= low - margin && position <= high + margin;
  }

  // Marks on trials

  function marks(scene) {
    const { selected, pins, study, points } = scene;
    const isDrawn = (trial) => trial !== null && trial < study.count && points.columns.every((values) => !Number.isNaN(values[trial]));
    const ring = isDrawn(selected) ? [selected] : [], pinned = [...pins].filter(isDrawn), isSpace = scene.view.z !== null;
    return [
      { ...at(scene, pinned), meta: "pinned", mode: "text", hoverinfo: "skip", showlegend: false, text: pinned.map(() => "★"), textposition: "top right", textfont: { size: 17, color: theme.colour("--warn") } },
      { ...at(scene, ring), ...errors(scene, ring), meta: "selected", showlegend: false, marker: { symbol: "circle-open", size: isSpace ? 14 : 20, color: theme.colour("--accent"), line: { width: 3, color: theme.colour("--accent") } } },
    ];
  }

  /** All traces of `scene`: {study, view, points, rules, colours, symbols, selected, pins}. */
  function of(scene) {
    return [
      ...outsideTrace(scene), ...countedTraces(scene), ...symbolLegend(scene), ...kindTraces(scene), ...staircase(scene), ...frontExpected.traces(scene),
      ...frontReferences.traces(scene, at), ...limitLines(scene), ...marks(scene),
    ];
  }

  return { of, isInside };
})();
