// A small line chart as SVG: learning curves, drawn without plotly so that a click opens a trial at once.

const lineChart = (() => {
  const WIDTH = 440, HEIGHT = 150, LEFT = 44, RIGHT = 8, TOP = 8, BOTTOM = 22;

  function extent(values) {
    const finite = values.filter(Number.isFinite);
    const low = Math.min(...finite), high = Math.max(...finite);
    return low === high ? [low - 0.5 * Math.abs(low || 1), high + 0.5 * Math.abs(high || 1)] : [low, high];
  }

  /** Round numbers within [low, high], about `count` of them. */
  function ticks([low, high], count) {
    const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
    const first = Math.ceil(low / step), found = [];
    for (let i = first; i * step <= high + 1e-9 * step; i++) found.push(Number((i * step).toPrecision(12)));
    return found;
  }

  const known = ({ x, y }) => x.map((value, i) => [value, y[i]]).filter(([, value]) => Number.isFinite(value));

  function line(points, scaleX, scaleY, { colour, width = 1, dash = null, opacity = 1, name = null }) {
    const attributes = { fill: "none", stroke: colour, "stroke-width": width, "stroke-dasharray": dash, "stroke-opacity": opacity, "stroke-linejoin": "round" };
    const path = svg("polyline", { ...attributes, points: points.map(([x, y]) => `${scaleX(x).toFixed(1)},${scaleY(y).toFixed(1)}`).join(" ") });
    if (name) path.append(svg("title", {}, name));
    return path;
  }

  function axes(rangeX, rangeY, scaleX, scaleY, yText) {
    const grid = { stroke: "var(--grid)" }, text = { fill: "var(--soft)", "font-size": 11 };
    const whole = ticks(rangeX, 5).filter(Number.isInteger);
    return [
      ...ticks(rangeY, 3).flatMap((y) => [
        svg("line", { ...grid, x1: LEFT, x2: WIDTH - RIGHT, y1: scaleY(y), y2: scaleY(y) }),
        svg("text", { ...text, x: LEFT - 6, y: scaleY(y) + 4, "text-anchor": "end" }, yText(y)),
      ]),
      ...whole.map((x) => svg("text", { ...text, x: scaleX(x), y: HEIGHT - 6, "text-anchor": "middle" }, String(x))),
    ];
  }

  /** A dot at the point nearest to the pointer, whose values the readout shows. */
  function follow(figure, main, scaleX, scaleY, readout, text) {
    const dot = svg("circle", { r: 3.5, fill: main.colour, visibility: "hidden" });
    const points = known(main);
    figure.append(dot);
    figure.addEventListener("pointermove", (event) => {
      const box = figure.getBoundingClientRect(), at = (event.clientX - box.left) * (WIDTH / box.width);
      const [x, y] = points.reduce((best, point) => Math.abs(scaleX(point[0]) - at) < Math.abs(scaleX(best[0]) - at) ? point : best);
      for (const [name, value] of Object.entries({ cx: scaleX(x), cy: scaleY(y), visibility: "visible" })) dot.setAttribute(name, value);
      readout.textContent = text(x, y);
    });
    figure.addEventListener("pointerleave", () => {
      dot.setAttribute("visibility", "hidden");
      readout.textContent = "";
    });
  }

  /**
   * A chart of `series` ({x, y, colour, width, dash, opacity, name, isMain}), the last drawn on top.
   *
   * Options: `title`; `label`, the text for screen readers; `yText(value)`, of ticks; `readout(x, y)`, the text at the pointer, which
   * follows the series that `isMain`; `legend`: whether the names of the series are listed.
   */
  function draw(series, { title, label, yText, readout, legend = false }) {
    const drawn = series.filter((one) => known(one).length);
    const rangeX = extent(drawn.flatMap((one) => known(one).map(([x]) => x))), rangeY = extent(drawn.flatMap((one) => known(one).map(([, y]) => y)));
    const scaleX = (x) => LEFT + (WIDTH - LEFT - RIGHT) * (x - rangeX[0]) / (rangeX[1] - rangeX[0]);
    const scaleY = (y) => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - rangeY[0]) / (rangeY[1] - rangeY[0]);
    const figure = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, class: "line-chart" },
      ...axes(rangeX, rangeY, scaleX, scaleY, yText), ...drawn.map((one) => line(known(one), scaleX, scaleY, one)));
    const output = element("span", { class: "readout" });
    const main = drawn.find(({ isMain }) => isMain);
    if (main && readout) follow(figure, main, scaleX, scaleY, output, readout);
    const names = legend ? element("div", { class: "chart-legend" }, ...drawn.filter(({ name }) => name).map(legendEntry)) : null;
    return element("figure", { class: "chart" }, element("figcaption", {}, title, output), names, figure);
  }

  function legendEntry({ name, colour, dash }) {
    const mark = svg("svg", { viewBox: "0 0 18 8", width: 18, height: 8, "aria-hidden": "true" }, svg("line", { x1: 0, x2: 18, y1: 4, y2: 4, stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash }));
    return element("span", {}, mark, ` ${name}`);
  }

  return { draw };
})();
