// Parallel coordinates: a line for each trial through its objectives and parameters. The lines are on a canvas (plotly's need code
// that is compiled from strings, which the page's policy forbids); the axes above them take ranges to highlight.

const parallel = (() => {
  const MAX_OTHERS = 2000, MARGIN = { left: 46, right: 70, top: 40, bottom: 14 }, MIN_GAP_PX = 92, HEIGHT_PX = 380;
  const COLOURS = { light: ["#440154", "#3b528b", "#21918c", "#5ec962"], dark: ["#5a68b8", "#2a9d8f", "#8fd744", "#fde725"] };

  const channels = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));

  /** The colour at `share`, 0 to 1, of the scale. */
  function colourAt(share, alpha) {
    const stops = COLOURS[theme.isDark() ? "dark" : "light"], place = Math.max(0, Math.min(1, share)) * (stops.length - 1), i = Math.min(stops.length - 2, Math.floor(place));
    const [from, to] = [channels(stops[i]), channels(stops[i + 1])];
    return `rgba(${from.map((value, k) => Math.round(value + (place - i) * (to[k] - value))).join(", ")}, ${alpha})`;
  }

  /** The trials to draw: the front and at most `MAX_OTHERS` of the others, evenly spread. */
  function chosenTrials(study) {
    const others = study.counted.filter((trial) => !study.front.has(trial));
    return { front: [...study.front], others: columns.evenly(others, MAX_OTHERS), count: others.length };
  }

  // Marked ranges are in the address: "macs~4.2~5.1|param:stem.patch~-0.5~0.5", in the scale of each axis.

  function storedRanges() {
    const parts = (state.get("space.ranges") || "").split("|").map((part) => part.split("~"));
    return new Map(parts.filter(([, low, high]) => Number.isFinite(Number(low)) && Number.isFinite(Number(high)) && high).map(([key, low, high]) => [key, [Number(low), Number(high)]]));
  }

  function store(ranges) {
    state.set({ "space.ranges": [...ranges].map(([key, [low, high]]) => [key, low.toPrecision(5), high.toPrecision(5)].join("~")).join("|") });
  }

  function mount(root, view) {
    const canvas = element("canvas", { "aria-hidden": "true" }), overlay = dom.svg("svg", { role: "group", "aria-label": "Axes of the parallel coordinates" });
    const box = element("div", { class: "parallel" }, canvas, overlay), words = element("p", { class: "about", "aria-live": "polite" });
    const clear = element("button", { type: "button", class: "quiet", onclick: () => store(new Map()) }, "Clear ranges"), scale = element("div", { class: "colour-scale" }), controls = element("div", { class: "controls" }, scale, clear);
    root.append(element("h2", {}, "Parallel coordinates"), words, controls, element("div", { class: "scroll" }, box));
    let trials = null, axes = [], shares = new Map(), width = 0, drag = null;

    const x = (i) => axes.length < 2 ? width / 2 : MARGIN.left + i * (width - MARGIN.left - MARGIN.right) / (axes.length - 1);
    const inner = HEIGHT_PX - MARGIN.top - MARGIN.bottom;
    const y = ({ low, high }, value) => MARGIN.top + inner * (high > low ? 1 - (value - low) / (high - low) : 0.5);
    const valueAt = ({ low, high }, pixel) => low + (high - low || 1) * (1 - (pixel - MARGIN.top) / inner);

    function isWithin(trial, ranges) {
      return axes.every((axis) => {
        const range = ranges.get(axis.key), value = axis.at(trial);
        return !range || (value >= range[0] && value <= range[1]);
      });
    }

    function drawLines(ranges) {
      const ratio = window.devicePixelRatio || 1, context = canvas.getContext("2d");
      Object.assign(canvas, { width: width * ratio, height: HEIGHT_PX * ratio });
      Object.assign(canvas.style, { width: `${width}px`, height: `${HEIGHT_PX}px` });
      context.scale(ratio, ratio);
      const soft = theme.colour("--grid");
      const draw = (list, alpha, lineWidth) => {
        for (const isMarked of [false, true]) for (const trial of list) {
          if (isWithin(trial, ranges) !== isMarked) continue;
          context.strokeStyle = isMarked ? colourAt(shares.get(trial), alpha) : soft;
          context.lineWidth = isMarked ? lineWidth : 0.6;
          drawLine(context, trial);
        }
      };
      draw(trials.others, trials.others.length > 300 ? 0.18 : 0.35, 1);
      draw(trials.front, 0.95, 2);
    }

    function drawLine(context, trial) {
      let isDown = false;
      context.beginPath();
      axes.forEach((axis, i) => {
        const value = axis.at(trial);
        if (!Number.isFinite(value)) isDown = false;
        else if (isDown) context.lineTo(x(i), y(axis, value));
        else { context.moveTo(x(i), y(axis, value)); isDown = true; }
      });
      context.stroke();
    }

    function axisNode(axis, i, range) {
      const ticks = axis.ticks.map(({ value, text }) => dom.svg("text", { x: 7, y: y(axis, value) + 4 }, shortened(text, 11)));
      const mark = range ? dom.svg("rect", { class: "range", x: -6, width: 12, y: y(axis, Math.min(axis.high, range[1])), height: Math.max(3, y(axis, Math.max(axis.low, range[0])) - y(axis, Math.min(axis.high, range[1]))) }) : null;
      const grip = dom.svg("rect", { class: "grip", x: -16, width: 32, y: MARGIN.top - 6, height: inner + 12, tabindex: "0", role: "button", "data-axis": axis.key, "aria-label": label(axis, range), onpointerdown: (event) => start(event, axis), onkeydown: (event) => press(event, axis) });
      return dom.svg("g", { transform: `translate(${x(i)} 0)` },
        dom.svg("line", { y1: MARGIN.top, y2: MARGIN.top + inner }), dom.svg("text", { class: "name", y: i % 2 ? 30 : 14, "text-anchor": i === 0 ? "start" : i === axes.length - 1 ? "end" : "middle", x: i === 0 ? -MARGIN.left + 4 : i === axes.length - 1 ? MARGIN.right - 4 : 0 }, shortened(axis.label, 24)), ...ticks, mark, grip);
    }

    const shortened = (text, length) => text.length > length ? `${text.slice(0, length - 1)}…` : text;

    function label(axis, range) {
      const texts = range ? axis.ticks.filter(({ value }) => value >= range[0] && value <= range[1]).map(({ text }) => text) : [];
      return `${axis.label}: ${range ? `marked ${texts.join(", ") || "a range"}` : "no range marked"}. Arrow keys mark a range, Delete removes it.`;
    }

    // Marking a range: by dragging along an axis, by a click on a text, or by keys.

    function start(event, axis) {
      drag = { axis, from: valueAt(axis, event.offsetY), moved: false };
      overlay.setPointerCapture(event.pointerId);
      event.preventDefault();
    }

    function setRange(axis, range) {
      const ranges = storedRanges();
      if (range) ranges.set(axis.key, range);
      else ranges.delete(axis.key);
      store(ranges);
    }

    overlay.addEventListener("pointermove", (event) => {
      if (!drag) return;
      const to = valueAt(drag.axis, event.clientY - overlay.getBoundingClientRect().top), { from, axis } = drag;
      if (Math.abs(y(axis, to) - y(axis, from)) < 4 && !drag.moved) return;
      drag.moved = true;
      setRange(axis, [Math.min(from, to), Math.max(from, to)]);
    });

    overlay.addEventListener("pointerup", () => {
      if (!drag) return;
      const { axis, from, moved } = drag, nearest = Math.round(from);
      drag = null;
      if (moved) return;
      const isMarked = storedRanges().has(axis.key);
      setRange(axis, !isMarked && axis.isText ? [nearest - 0.5, nearest + 0.5] : null);
    });

    /** Arrow keys move a range of one text, or of a fifth of the axis. */
    function press(event, axis) {
      const step = { ArrowUp: 1, ArrowDown: -1 }[event.key], range = storedRanges().get(axis.key);
      if (event.key === "Delete" || event.key === "Escape") setRange(axis, null);
      else if (step) {
        const size = axis.isText ? 1 : (axis.high - axis.low) / 5, first = step > 0 ? axis.low : axis.high - (axis.isText ? 0 : size);
        const low = range ? range[0] + step * size : first - (axis.isText ? 0.5 : 0);
        setRange(axis, [low, low + size]);
      } else return;
      event.preventDefault();
    }

    function drawWords(ranges) {
      const { front, others, count } = trials, marked = (list) => list.filter((trial) => isWithin(trial, ranges)).length;
      const drawn = others.length < count ? `${format.integer(others.length)} of ${format.integer(count)}` : `${format.integer(count)}`;
      const marks = front.length + others.length < 2 ? "" : ranges.size ? ` Within the marked ranges: ${format.integer(marked(front))} on the front, ${format.integer(marked(others))} others.` : " Drag along an axis to mark a range.";
      words.textContent = front.length ? `${format.count(front.length, "trial")} on the front (thick) and ${drawn} ${count === 1 ? "other" : "others"}.${marks}` : "No trial is complete yet.";
      clear.disabled = !ranges.size;
    }

    function drawScale() {
      const primary = axes.find(({ key }) => key === view.study.primary.name), bar = element("i");
      if (!primary) return;
      bar.style.background = `linear-gradient(to right, ${[0, 1 / 3, 2 / 3, 1].map((share) => colourAt(share, 1)).join(", ")})`;
      const text = (value) => format.value(view.study.field(primary.key), view.study.field(primary.key).log ? 10 ** value : value, false);
      scale.replaceChildren(`${view.study.primary.label}, by rank: `, text(primary.low), bar, text(primary.high));
    }

    function read() {
      trials = chosenTrials(view.study);
      const drawn = [...trials.front, ...trials.others], column = view.study.column(view.study.primary.name);
      axes = parallelAxes.of(view.study, drawn);
      const ranked = [...drawn].sort((a, b) => column[a] - column[b]);
      shares = new Map(ranked.map((trial, i) => [trial, ranked.length > 1 ? i / (ranked.length - 1) : 1]));
    }

    function draw() {
      width = Math.max(box.parentElement.clientWidth, MARGIN.left + MARGIN.right + MIN_GAP_PX * (axes.length - 1));
      box.hidden = controls.hidden = trials.front.length + trials.others.length < 2;
      const ranges = storedRanges(), focused = overlay.contains(document.activeElement) ? document.activeElement.dataset.axis : null;
      drawWords(ranges);
      if (box.hidden) return;
      box.style.height = `${HEIGHT_PX}px`;
      drawLines(ranges);
      overlay.setAttribute("width", width);
      overlay.setAttribute("height", HEIGHT_PX);
      overlay.replaceChildren(...axes.map((axis, i) => axisNode(axis, i, ranges.get(axis.key))));
      drawScale();
      if (focused) overlay.querySelector(`[data-axis="${CSS.escape(focused)}"]`)?.focus();
    }

    function update({ data, names }) {
      if (data) read();
      if (data || names.includes("space.ranges")) draw();
    }

    new ResizeObserver(() => { if (trials && box.parentElement.clientWidth && box.parentElement.clientWidth !== width) draw(); }).observe(root);
    theme.onChange(() => { if (trials && root.isConnected) draw(); });
    return { update };
  }

  return { mount };
})();
