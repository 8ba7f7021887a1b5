// The layout of panel "Front" for plotly.

const frontLayout = (() => {
  const CAMERA = { eye: { x: 1.5, y: -1.6, z: 0.8 } };

  const axisOf = ({ field, log }) => ({ title: format.escaped(format.heading(field)), type: log ? "log" : "linear" });

  /** An axis of the plane; where no value is negative, it does not begin below 0, as that of a single value would. */
  const flatAxisOf = (axis, [low]) => ({ ...axisOf(axis), ...(!axis.log && low >= 0 ? { rangemode: "nonnegative" } : {}) });

  function space({ view }) {
    const style = { color: theme.colour("--soft"), gridcolor: theme.colour("--line"), linecolor: theme.colour("--soft"), showline: true, exponentformat: "SI", showbackground: false };
    const axis = (each) => ({ ...style, ...axisOf(each), title: { text: axisOf(each).title } });
    return { scene: { xaxis: axis(view.x), yaxis: axis(view.y), zaxis: axis(view.z), camera: CAMERA, uirevision: frontView.shownText(view) }, margin: { l: 0, r: 0, t: 0, b: 0 } };
  }

  /** Axes from 0 to 1 across the figure, for lines and marks at its edge. */
  const across = (overlaying) => ({ overlaying, range: [0, 1], fixedrange: true, visible: false });

  function of(scene) {
    const { view, colours } = scene;
    const common = { hoverdistance: 12, ...(colours.kind === "number" ? { coloraxis: colours.axis } : {}) };
    if (view.z) return { ...common, ...space(scene) };
    const [x, y] = scene.points.ranges;
    return {
      ...common, xaxis: flatAxisOf(view.x, x), yaxis: flatAxisOf(view.y, y), xaxis2: across("x"), yaxis2: across("y"),
      annotations: frontReferences.annotations(scene), dragmode: "zoom",
    };
  }

  return { of };
})();
