// A quick drawing of a figure on a canvas, which is seen until plotly.js is loaded: axes, points and lines, nothing to click.

const sketch = (() => {
  const MARGIN = { left: 64, right: 16, top: 40, bottom: 52 }, PADDING = 0.05, TICKS = 5;
  const isOnMainAxes = ({ x, y, visible, xaxis = "x", yaxis = "y" }) => x && y && visible !== false && visible !== "legendonly" && xaxis === "x" && yaxis === "y";
  const number = (value) => value === null || value === undefined ? NaN : Number(value);

  /** The range of an axis, in logarithms to base 10 where it is logarithmic, and what turns a value into 0 to 1. */
  function scaleOf(axis, columns) {
    const place = axis.type === "log" ? (value) => Math.log10(number(value)) : number;
    let [low, high] = axis.range || [Infinity, -Infinity];
    if (!axis.range) {
      for (const values of columns) for (const value of values) {
        const at = place(value);
        if (at < low) low = at;
        if (at > high && at < Infinity) high = at;
      }
      const pad = PADDING * (high - low || 1);
      [low, high] = [low - pad, high + pad];
    }
    return { low, high, isLog: axis.type === "log", at: (value) => (place(value) - low) / (high - low) };
  }

  /** Round values within a scale: powers of ten where it is logarithmic and spans some. */
  function ticks({ low, high, isLog }) {
    const raw = (high - low) / TICKS, power = 10 ** Math.floor(Math.log10(raw));
    const step = isLog && high - low > 1 ? 1 : [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
    const first = Math.ceil(low / step), count = Math.floor(high / step) - first + 1;
    return Array.from({ length: Math.max(0, count) }, (_, i) => (first + i) * step).map((value) => isLog ? 10 ** value : value);
  }

  function drawAxes(context, box, x, y, layout) {
    context.strokeStyle = theme.colour("--grid");
    context.fillStyle = theme.colour("--soft");
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "center";
    for (const value of ticks(x)) {
      const left = box.left + x.at(value) * box.width;
      context.strokeRect(left, box.top, 0, box.height);
      context.fillText(format.si(value), left, box.top + box.height + 18);
    }
    for (const value of ticks(y)) {
      const top = box.top + (1 - y.at(value)) * box.height;
      context.strokeRect(box.left, top, box.width, 0);
      context.fillText(format.si(value), box.left - 26, top + 4);
    }
    context.fillText(layout.xaxis.title.text || "", box.left + box.width / 2, box.top + box.height + 42);
    context.save();
    context.translate(14, box.top + box.height / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(layout.yaxis.title.text || "", 0, 0);
    context.restore();
  }

  const item = (values, i, fallback) => Array.isArray(values) || ArrayBuffer.isView(values) ? values[i] : values ?? fallback;

  function drawPoints(context, { marker = {} }, places) {
    places.forEach(([left, top], i) => {
      if (Number.isNaN(left + top)) return;
      const colour = item(marker.color, i);
      context.fillStyle = typeof colour === "string" ? colour : theme.colour("--accent");
      context.globalAlpha = item(marker.opacity, i, 1);
      context.beginPath();
      context.arc(left, top, item(marker.size, i, 6) / 2, 0, 2 * Math.PI);
      context.fill();
    });
    context.globalAlpha = 1;
  }

  function drawLine(context, { line = {} }, places) {
    context.strokeStyle = line.color || theme.colour("--soft");
    context.beginPath();
    places.forEach(([left, top], i) => {
      const [, before] = places[i - 1] || [left, top];
      if (i && line.shape === "hv") context.lineTo(left, before);
      if (i && line.shape === "vh") context.lineTo(places[i - 1][0], top);
      if (i) context.lineTo(left, top);
      else context.moveTo(left, top);
    });
    context.stroke();
  }

  /** Draw plotly's `traces` with `layout` in `div`, as far as they are points and lines on the first two axes. */
  function draw(div, traces, layout) {
    const shown = traces.filter(isOnMainAxes), ratio = window.devicePixelRatio || 1;
    const canvas = element("canvas", { class: "sketch", width: ratio * div.clientWidth, height: ratio * div.clientHeight });
    const box = { ...MARGIN, width: div.clientWidth - MARGIN.left - MARGIN.right, height: div.clientHeight - MARGIN.top - MARGIN.bottom };
    const x = scaleOf(layout.xaxis, shown.map((trace) => trace.x)), y = scaleOf(layout.yaxis, shown.map((trace) => trace.y));
    div.replaceChildren(canvas);
    if (box.width <= 0 || !(x.high > x.low) || !(y.high > y.low)) return;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    drawAxes(context, box, x, y, layout);
    context.beginPath();
    context.rect(box.left, box.top, box.width, box.height);
    context.clip();
    for (const trace of shown) {
      const places = Array.from(trace.x, (value, i) => [box.left + x.at(value) * box.width, box.top + (1 - y.at(trace.y[i])) * box.height]);
      if ((trace.mode || "").includes("lines")) drawLine(context, trace, places);
      if ((trace.mode || "").includes("markers")) drawPoints(context, trace, places);
    }
  }

  return { draw };
})();
