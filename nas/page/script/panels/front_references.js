// Marks beside the trials: networks of the literature by their costs, and the front of the study that this one started from.

const frontReferences = (() => {
  const LABEL_PX = 11;
  const CLOSE = 0.025, STEP = 0.29; // names closer than this share of the axis stand this share of the figure below each other

  /** References of a kind with their values on the shown axes: [{label, values, at: [x, y, z]}], null where unknown. */
  function placed(scene, kind) {
    if (!scene.view.references) return [];
    return (scene.study.references || []).filter((reference) => reference.kind === kind).map((reference) => ({
      ...reference, at: frontView.axes(scene.view).map(({ field }) => reference.values[field.key] ?? null),
    }));
  }

  /** The axis on which a preset is a line: the only one that shows one of its costs. */
  function lineAxis(scene, { at }) {
    const known = at.flatMap((value, i) => value === null ? [] : [i]);
    return known.length === 1 && !scene.view.z ? [scene.view.x, scene.view.y][known[0]] : null;
  }

  /** The presets that are lines within the figure: [{label, axis, value}]. */
  function lines(scene) {
    return placed(scene, "preset").flatMap((preset) => {
      const axis = lineAxis(scene, preset), value = axis && preset.values[axis.field.key];
      return axis && frontTraces.isInside(scene, axis, value) ? [{ label: preset.label, axis, value }] : [];
    });
  }

  /** The presets that lie beyond the figure, as a sentence; empty if there is none. */
  function beyond(scene) {
    const outside = placed(scene, "preset").flatMap((preset) => {
      const axis = lineAxis(scene, preset);
      return axis && !frontTraces.isInside(scene, axis, preset.values[axis.field.key]) ? [[preset.label, axis.field, preset.values[axis.field.key]]] : [];
    });
    if (!outside.length) return "";
    const texts = outside.sort((a, b) => a[2] - b[2]).map(([label, field, value]) => `${label} ${format.value(field, value)}`);
    return `At this image size, beyond the figure: ${texts.join(", ")}.`;
  }

  function pointTrace(scene, at, name, symbol, references) {
    if (!references.length) return [];
    const [x, y, z] = frontView.axes(scene.view).map((_, i) => references.map((reference) => reference.at[i]));
    return [{
      ...at(scene, []), x, y, ...(z ? { z } : {}), customdata: null, name, meta: "reference", hoverinfo: "text",
      hovertext: references.map(({ label }) => format.escaped(label)),
      marker: { symbol, size: scene.view.z ? 5 : 11, color: theme.colour("--ink"), opacity: 0.75, line: { width: 1.5, color: theme.colour("--ink") } },
    }];
  }

  /** Traces of the references. `at` makes an empty trace of points. */
  function traces(scene, at) {
    const isPoint = (reference) => reference.at.every((value) => value !== null);
    const points = placed(scene, "preset").filter(isPoint).filter((preset) => scene.view.z || [scene.view.x, scene.view.y].every((axis, i) => frontTraces.isInside(scene, axis, preset.at[i])));
    return [
      ...lines(scene).map(({ axis, value }) => ({
        type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false, meta: "preset", line: { dash: "dot", width: 1, color: theme.colour("--soft") },
        ...(axis.name === "x" ? { x: [value, value], y: [0, 1], yaxis: "y2" } : { x: [0, 1], y: [value, value], xaxis: "x2" }),
      })),
      ...pointTrace(scene, at, "networks of the literature", scene.view.z ? "diamond" : "star", points),
      ...pointTrace(scene, at, "earlier study's front", scene.view.z ? "square-open" : "diamond-open", placed(scene, "study").filter(isPoint)),
    ];
  }

  /** The names of the presets at their lines, for the layout of plotly; a name that is close to another stands below it. */
  function annotations(scene) {
    let last = -Infinity, depth = 0;
    const placed = lines(scene).map((line) => ({ ...line, position: line.axis.log ? Math.log10(line.value) : line.value })).sort((a, b) => a.position - b.position);
    return placed.map(({ label, axis: { name }, position }) => {
      const [low, high] = scene.points.ranges[name === "x" ? 0 : 1];
      depth = position - last < CLOSE * (high - low) ? depth + 1 : 0;
      last = position;
      const place = name === "x"
        ? { x: position, xref: "x", y: 1 - STEP * depth, yref: "paper", textangle: -90, xanchor: "right", yanchor: "top" }
        : { y: position, yref: "y", x: 1 - STEP * depth, xref: "paper", xanchor: "right", yanchor: "bottom" };
      return { ...place, text: format.escaped(label), showarrow: false, font: { size: LABEL_PX, color: theme.colour("--soft") } };
    });
  }

  return { traces, annotations, beyond };
})();
