// Figures. One wrapper of plotly.js: the page's style, zoom that survives updates and is part of the address, selection by a click.

const plot = (() => {
  const CONFIG = { displaylogo: false, showSendToCloud: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  const AXES = ["xaxis", "yaxis"];
  const figures = new Map(); // div -> {describe, zoom, shown, ...}: the options of `draw`
  const RESIZE_DELAY_MS = 100; // so that what changed the sizes, such as the details of a trial, is drawn first
  const resized = new Set(); // divs whose figures are to be drawn in another size
  const sizes = new ResizeObserver((entries) => {
    if (!resized.size) setTimeout(resize, RESIZE_DELAY_MS);
    for (const { target } of entries) resized.add(target);
  });
  const drawnFigures = new WeakSet(); // divs that plotly has drawn
  let loading = null; // the promise of plotly.js
  let webgl = null; // whether the browser has WebGL, once asked

  function resize() {
    for (const div of resized) if (figures.has(div) && div.clientWidth) Plotly.Plots.resize(div);
    resized.clear();
  }

  function hasWebgl() {
    webgl ??= document.createElement("canvas").getContext("webgl") !== null;
    return webgl;
  }

  /** Plotly's WebGL scatter plots compile code from strings, which the page's policy forbids: they are drawn as SVG. */
  const drawable = (trace) => trace.type === "scattergl" ? { ...trace, type: "scatter" } : trace;

  function axisStyle() {
    const grid = theme.colour("--grid");
    return { gridcolor: grid, zeroline: false, ticks: "outside", tickcolor: grid, automargin: true, exponentformat: "SI" };
  }

  /** The page's layout, with `layout` on top. */
  function styled(layout) {
    const clear = "rgba(0,0,0,0)";
    const base = {
      template: "none",
      paper_bgcolor: clear,
      plot_bgcolor: clear,
      font: { family: "system-ui, sans-serif", size: 12, color: theme.colour("--soft") },
      margin: { l: 64, r: 16, t: 16, b: 52 },
      hovermode: "closest",
      hoverlabel: { align: "left", bgcolor: theme.colour("--card"), bordercolor: theme.colour("--line"), font: { color: theme.colour("--ink") } },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
      modebar: { bgcolor: clear, color: theme.colour("--soft"), activecolor: theme.colour("--accent") },
      ...layout,
    };
    for (const name of Object.keys(layout).concat(AXES).filter((key) => /^[xy]axis\d*$/.test(key)))
      base[name] = { ...axisStyle(), ...layout[name], title: titled(layout[name]) };
    return base;
  }

  function titled(axis = {}) {
    const title = typeof axis.title === "string" ? { text: axis.title } : axis.title || {};
    return { standoff: 10, ...title };
  }

  // Zoom: the ranges of both axes are under one name of the address, and belong to what the axes show.

  /** The ranges [[low, high] of x, of y] of the zoom `zoom` of the address; null if there is none of axes that show `shown`. */
  function zoomOf(zoom, shown) {
    const text = zoom && state.get(zoom);
    const [key, ...numbers] = text ? text.split("~") : [];
    const ranges = numbers.map(Number);
    if (!text || key !== shown || ranges.length !== 4 || !ranges.every(Number.isFinite)) return null;
    return [ranges.slice(0, 2), ranges.slice(2)];
  }

  function zoomed(layout, zoom, shown) {
    const ranges = zoomOf(zoom, shown);
    if (!ranges) for (const axis of AXES) layout[axis].autorange ??= layout[axis].range ? false : true;
    else AXES.forEach((axis, i) => { Object.assign(layout[axis], { range: ranges[i], autorange: false }); });
    return layout;
  }

  /** The end of a range as a number; that of an axis of times, which plotly has as text, in milliseconds. */
  function storedNumber(value) {
    if (Number.isFinite(Number(value))) return Math.abs(value) > 1e11 ? Math.round(value) : Number(Number(value).toPrecision(6));
    const [date, time = "00:00"] = value.split(/[ T]/);
    return Date.parse(`${date}T${time}Z`);
  }

  /** Seconds since 1970 as plotly takes times: milliseconds, which it shows as they are, in no time zone. */
  const time = (seconds) => 1000 * seconds - 60000 * new Date(1000 * seconds).getTimezoneOffset();

  function storeZoom(div, event) {
    const { zoom, shown } = figures.get(div);
    if (!zoom || !Object.keys(event).some((name) => /^[xy]axis\./.test(name))) return;
    const { xaxis, yaxis } = div._fullLayout;
    const isFree = (xaxis.autorange || event["xaxis.autorange"]) && (yaxis.autorange || event["yaxis.autorange"]);
    const ranges = [...xaxis.range, ...yaxis.range].map(storedNumber);
    state.set({ [zoom]: isFree ? null : [shown, ...ranges].join("~") });
  }

  /** Zoom a figure to the `ranges` [[low, high] of x, of y], or show all of it if they are null. */
  function zoomTo(div, ranges) {
    const changes = AXES.map((axis, i) => ranges ? { [`${axis}.range`]: ranges[i], [`${axis}.autorange`]: false } : { [`${axis}.autorange`]: true });
    return drawnFigures.has(div) ? Plotly.relayout(div, Object.assign({}, ...changes)) : undefined;
  }

  const trialOf = (points) => points.length && Number.isInteger(points[0].customdata) ? points[0].customdata : null;

  function listen(div) {
    div.on("plotly_relayout", (event) => storeZoom(div, event));
    div.on("plotly_click", ({ points }) => {
      const trial = trialOf(points), { onselect } = figures.get(div);
      if (onselect && trial !== null) onselect(trial);
    });
    div.on("plotly_hover", ({ points, event }) => {
      const trial = trialOf(points), { hover } = figures.get(div);
      if (hover && trial !== null) hoverBox.show(hover(trial), event);
    });
    div.on("plotly_unhover", hoverBox.hide);
  }

  /**
   * Draw a figure in `div`, or draw it again with new data; it is drawn again when the theme changes.
   *
   * `describe()` returns {traces, layout}. Options: `zoom`, the name of the zoom in the address; `shown`, what the axes show (a
   * change of it forgets the zoom); `onselect(trial)`, called when a point is clicked whose `customdata` is the number of a trial;
   * `hover(trial)`, the nodes of the box beside such a point under the pointer (its trace has `hoverinfo: "none"`); `label`, the text for screen readers; `config`, on top of the page's.
   */
  function draw(div, describe, options = {}) {
    figures.set(div, { describe, ...options, shown: options.shown || "" });
    const { traces, layout } = describe();
    const full = zoomed({ uirevision: options.shown || "shown", ...styled(layout) }, options.zoom, options.shown || "");
    if (options.label) Object.assign(div, { role: "img", ariaLabel: options.label });
    if (!window.Plotly) return drawLater(div, traces, full);
    const isNew = !drawnFigures.has(div);
    if (isNew) {
      div.replaceChildren();
      drawnFigures.add(div);
    }
    const drawn = Plotly.react(div, traces.map(drawable), full, { ...CONFIG, ...options.config });
    if (isNew) {
      listen(div);
      sizes.observe(div);
    }
    return drawn;
  }

  /** Sketch a figure, and draw what it shows by then when plotly.js is loaded. */
  function drawLater(div, traces, layout) {
    sketch.draw(div, traces, layout);
    return load().then(() => {
      if (drawnFigures.has(div) || !figures.has(div)) return undefined;
      const { describe, ...options } = figures.get(div);
      return draw(div, describe, options);
    }, ({ message }) => div.replaceChildren(element("p", { class: "warning" }, message)));
  }

  /** Remove the figure in `div`. */
  function remove(div) {
    figures.delete(div);
    sizes.unobserve(div);
    if (drawnFigures.delete(div)) Plotly.purge(div);
  }

  theme.onChange(() => {
    for (const [div, { describe, ...options }] of figures) {
      if (!div.isConnected) figures.delete(div);
      else draw(div, describe, options);
    }
  });

  /**
   * Load plotly.js, which takes a browser about a second. A report has it; the page of the dashboard names it in a link, and its first
   * figure is sketched before.
   */
  function load() {
    loading ??= new Promise((done, fail) => {
      const failed = () => fail(new Error("The figures cannot be drawn: plotly.js could not be loaded."));
      const script = element("script", { src: byId("plotly").href, onload: done, onerror: failed });
      requestAnimationFrame(() => setTimeout(() => document.head.append(script)));
    });
    return loading;
  }

  return { draw, remove, zoomOf, zoomTo, hasWebgl, time };
})();
