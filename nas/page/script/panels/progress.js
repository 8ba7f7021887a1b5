// Panel "Progress": how the search went, the front over time, how workers spent their time, rungs.

definePanel({
  id: "progress",
  title: "Progress",
  order: 2,
  showsOpen: true,
  mount(root, view) {
    const facts = element("dl", { class: "facts", "aria-label": "Progress" });
    const controls = element("div", { class: "controls" });
    const figure = element("div", { class: "figure series" });
    const parts = [replay, timeline, rungBars].map((part) => ({ part, root: element("section", { class: "panel-part" }) }));
    root.append(facts, controls, figure, ...parts.map((entry) => entry.root));
    for (const entry of parts) entry.handle = entry.part.mount(entry.root, view);
    const axis = () => state.get("progress.x") === "time" ? "time" : "trials";
    const chooser = dom.select("Horizontal axis", [["trials", "complete trials"], ["time", "time"]], axis(), (value) => state.set({ "progress.x": value === "time" ? value : null }));
    controls.append(chooser);

    function drawFacts() {
      const { study } = view, { rate, trials } = timeLeft.currentRate(study), left = timeLeft.words(study);
      const start = Math.min(...study.column("started").filter(Number.isFinite)), times = progressSeries.trainedTimes(study);
      const elapsed = times.length ? times[times.length - 1] - start : NaN;
      facts.replaceChildren(
        dom.fact("time left", left.value, left.note),
        dom.fact("trials per hour", format.rate(rate), trials ? `over the last ${trials}` : "too few trials have ended"),
        dom.fact("since the first trial", format.duration(elapsed), `${format.count(times.length, "trial")} trained, breaks included`),
      );
    }

    /** Points of a line of steps: those where it changed, and its end. */
    function stepped(steps, key, at, end) {
      const points = steps.map((step) => ({ x: at(step), y: step[key], trial: step.trial }));
      return points.length ? [...points, { x: end, y: points[points.length - 1].y, trial: points[points.length - 1].trial }] : points;
    }

    function describe() {
      const { study } = view, isTime = axis() === "time", order = study.finishedOrder, { primary } = study;
      const finished = (trial) => plot.time(study.value("finished", trial));
      const at = ({ rank, trial, time }) => isTime ? (time === undefined ? finished(trial) : plot.time(time)) : rank;
      const end = !order.length ? 0 : isTime ? finished(order[order.length - 1]) : order.length;
      const front = progressSeries.frontSteps(study);
      const rows = [
        { title: "hypervolume", points: stepped(front, "hypervolume", at, end), text: format.ratio, colour: theme.colour("--accent") },
        { title: `best ${primary.label}`, points: stepped(progressSeries.bestSteps(study), "value", at, end), text: (value) => format.value(study.field(primary.name), value), colour: theme.COLOURS[2] },
        { title: "front size", points: stepped(front, "size", at, end), text: format.integer, colour: theme.COLOURS[3] },
        { title: "trials per hour", points: progressSeries.rates(study).map((point) => ({ x: at(point), y: point.rate })), text: (value) => `${format.rate(value)} trials/h`, colour: theme.COLOURS[1], shape: "linear" },
      ];
      const height = 1 / rows.length, layout = { showlegend: false, hovermode: "closest", margin: { l: 76, r: 16, t: 8, b: 48 } };
      rows.forEach(({ title }, i) => {
        layout[`yaxis${i ? i + 1 : ""}`] = { title: { text: format.escaped(title), font: { size: 11 } }, domain: [1 - (i + 0.86) * height, 1 - i * height], nticks: 4, rangemode: i > 1 ? "tozero" : "normal" };
      });
      layout.xaxis = { title: isTime ? "time" : "complete trials", type: isTime ? "date" : "linear", anchor: `y${rows.length}`, rangemode: isTime ? "normal" : "tozero" };
      return { traces: rows.map(line), layout };
    }

    function line({ title, points, text, colour, shape = "hv" }, i) {
      return {
        type: "scatter", mode: "lines", name: format.escaped(title), xaxis: "x", yaxis: `y${i ? i + 1 : ""}`,
        x: points.map((point) => point.x), y: points.map((point) => point.y), customdata: points.map((point) => point.trial),
        text: points.map(({ y, trial }) => format.escaped(text(y)) + (trial === undefined ? "" : `<br>since trial ${trial}`)),
        hovertemplate: `%{text}<extra>${format.escaped(title)}</extra>`, line: { color: colour, width: 2, shape },
      };
    }

    function update({ data, names }) {
      chooser.querySelector("select").value = axis();
      if (data || names.includes("progress.x") || names.includes("zoom.progress")) {
        drawFacts();
        figure.hidden = controls.hidden = !view.study.finishedOrder.length;
        if (!figure.hidden) plot.draw(figure, describe, { zoom: "zoom.progress", shown: axis(), onselect: view.select, label: "Hypervolume, best value, size of the front and trials per hour" });
      }
      for (const { handle } of parts) handle.update({ data, names });
    }

    return { update };
  },
});
