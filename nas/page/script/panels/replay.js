// The front over time: a slider replays which trials were on it after each complete trial.

const replay = (() => {
  const MAX_DOTS = 1200, FRAMES = 150, FRAME_MS = 80;

  /** After the first `count` trials in the order of finishing: the front, and those that had left it. */
  function frontAt(study, count) {
    const ranks = new Map(study.finishedOrder.map((trial, i) => [trial, i + 1]));
    const rank = (trial) => ranks.get(trial) ?? Infinity;
    const { trial, removedBy, hypervolume } = study.history, front = [], former = [];
    let reached = 0;
    trial.forEach((number, i) => {
      if (rank(number) > count) return;
      const isRemoved = removedBy[i] >= 0 && rank(removedBy[i]) <= count;
      (isRemoved ? former : front).push(number);
      reached = hypervolume[i];
    });
    return { front, former, hypervolume: reached };
  }

  /** The range of an axis that shows all `values`. */
  function rangeOf(values, isLog) {
    const known = values.filter((value) => Number.isFinite(value) && (!isLog || value > 0)).map((value) => isLog ? Math.log10(value) : value);
    if (!known.length) return undefined;
    const low = known.reduce((a, b) => Math.min(a, b)), high = known.reduce((a, b) => Math.max(a, b));
    const margin = 0.05 * (high - low) || 0.5;
    return [low - margin, high + margin];
  }

  /** The corners of a staircase through the best of `trials` in the plane of `x` and `y`. */
  function staircase(trials, x, y, values) {
    return pareto.front(trials, [x, y], values).sort((a, b) => values[0][a] - values[0][b]);
  }

  function mount(root, view) {
    let timer = null;
    const { study } = view, fields = study.objectives.map(({ name }) => study.field(name));
    const axis = (name, fallback) => fields.find(({ key }) => key === state.get(name)) || fallback;
    const y = () => axis("replay.y", study.field(study.primary.name));
    const x = () => axis("replay.x", fields.find((field) => field.key !== study.primary.name) || fields[0]);
    const slider = element("input", { type: "range", min: 0, "aria-label": "Complete trials", oninput: () => go(Number(slider.value)) });
    const play = element("button", { type: "button", class: "quiet", onclick: toggle }, "▶ Play");
    const button = (text, label, step) => element("button", { type: "button", class: "quiet icon", "aria-label": label, title: label, onclick: () => go(position() + step) }, text);
    const controls = element("div", { class: "controls replay-controls" });
    const words = element("p", { class: "about replay-words", "aria-live": "polite" }), figure = element("div", { class: "figure" });
    const chooser = (label, name, current) => dom.select(label, fields.map((field) => [field.key, field.label]), current().key, (key) => state.set({ [name]: key }));
    const selects = element("span", { class: "controls" }, chooser("Horizontal", "replay.x", x), chooser("Vertical", "replay.y", y));
    controls.append(play, button("‹", "One trial back", -1), button("›", "One trial on", 1), slider, ...(fields.length > 1 ? [selects] : []));
    root.append(element("h2", {}, "Front over time"), controls, words, figure);

    const total = () => study.finishedOrder.length;
    function position() {
      const number = state.getNumber("replay");
      return number === null ? total() : Math.max(0, Math.min(total(), Math.round(number)));
    }

    /** Show the front after `count` complete trials; the last position is that of all trials, also of those to come. */
    function go(count) {
      const bounded = Math.max(0, Math.min(total(), count));
      state.set({ replay: bounded === total() ? null : bounded });
    }

    function toggle() {
      if (timer) return stop();
      if (position() === total()) go(0);
      timer = setInterval(() => {
        go(position() + Math.max(1, Math.round(total() / FRAMES)));
        if (position() === total() || root.offsetParent === null) stop();
      }, FRAME_MS);
      words.ariaLive = "off"; // it changes too often to be read out
      play.textContent = "❚❚ Pause";
    }

    function stop() {
      clearInterval(timer);
      timer = null;
      words.ariaLive = "polite";
      play.textContent = "▶ Play";
    }

    function describe() {
      const count = position(), { front, former } = frontAt(study, count), fieldX = x(), fieldY = y();
      const values = [study.column(fieldX.key), study.column(fieldY.key)], order = study.finishedOrder;
      const onceOnFront = new Set([...front, ...former]);
      const others = columns.evenly(order.slice(0, count).filter((trial) => !onceOnFront.has(trial)), MAX_DOTS);
      const line = staircase(front, fieldX, fieldY, values);
      const dots = (name, trials, marker) => ({
        type: "scatter", mode: "markers", name, x: trials.map((trial) => values[0][trial]), y: trials.map((trial) => values[1][trial]), customdata: trials, marker,
        text: trials.map((trial) => `trial ${trial}<br>${format.escaped(study.text(fieldX.key, trial))}<br>${format.escaped(study.text(fieldY.key, trial))}`), hovertemplate: "%{text}<extra></extra>",
      });
      const traces = [
        dots("dominated", others, { color: theme.colour("--soft"), size: 5, opacity: 0.3 }),
        dots("was on the front", former, { color: theme.COLOURS[4], size: 7, opacity: 0.55, symbol: "circle-open" }),
        { type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false, x: line.map((trial) => values[0][trial]), y: line.map((trial) => values[1][trial]), line: { color: theme.COLOURS[1], width: 1.5, shape: fieldX.direction === "minimize" ? "hv" : "vh" } },
        dots("on the front", front, { color: theme.COLOURS[1], size: 9 }),
      ];
      const layoutOf = (field, column) => ({ title: format.escaped(format.heading(field)), type: field.log ? "log" : "linear", range: rangeOf(order.map((trial) => column[trial]), field.log) });
      return { traces, layout: { xaxis: layoutOf(fieldX, values[0]), yaxis: layoutOf(fieldY, values[1]) } };
    }

    function drawWords() {
      const count = position(), { front, hypervolume } = frontAt(study, count), last = study.finishedOrder[count - 1];
      slider.max = total();
      slider.value = count;
      const when = last === undefined ? "" : `, ${study.text("finished", last)}`;
      words.textContent = total()
        ? `After ${format.integer(count)} of ${format.count(total(), "complete trial")}${when}: ${format.integer(front.length)} on the front, hypervolume ${format.ratio(hypervolume)}${entering(last)}.`
        : "No trial is complete yet.";
      slider.ariaValueText = words.textContent;
    }

    function entering(trial) {
      if (trial === undefined || !study.history.trial.includes(trial)) return "";
      const removed = [...study.history.trial].filter((_, i) => study.history.removedBy[i] === trial);
      return `; trial ${trial} entered${removed.length ? ` and removed ${removed.slice(0, 5).join(", ")}${removed.length > 5 ? " …" : ""}` : ""}`;
    }

    function update({ data, names }) {
      if (!data && !names.some((name) => name.includes("replay"))) return;
      for (const [select, field] of [[selects.querySelectorAll("select")[0], x()], [selects.querySelectorAll("select")[1], y()]]) select.value = field.key;
      drawWords();
      controls.hidden = figure.hidden = !total();
      if (total()) plot.draw(figure, describe, { zoom: "zoom.replay", shown: `${x().key}.${y().key}`, onselect: view.select, label: "The front over time" });
    }

    return { update };
  }

  return { mount };
})();
