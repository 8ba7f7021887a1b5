// The workers' timeline, and a bar of how they spent their time in all.

const timeline = (() => {
  const MAX_PIECES = 2000, LANE_PX = 26;

  function mount(root, view) {
    const sums = element("div"), words = element("p", { class: "about" }), figure = element("div", { class: "figure" });
    root.append(element("h2", {}, "Workers"), sums, words, figure);
    let work = null, revision = -1;

    function read() {
      if (revision === view.study.revision) return;
      work = workerLanes.of(view.study);
      revision = view.study.revision;
    }

    function range() {
      const zoom = plot.zoomOf("zoom.workers", "time");
      if (zoom) return zoom[0].map((time) => time / 1000 - localOffset(time));
      return work.pieces.reduce(([low, high], { start, end }) => [Math.min(low, start), Math.max(high, end)], [Infinity, -Infinity]);
    }

    const localOffset = (time) => plot.time(time / 1000) / 1000 - time / 1000;

    function describe() {
      const { shown, bin_s } = workerLanes.visible(work.pieces, work.lanes.length, range(), MAX_PIECES);
      const traces = Object.entries(workerTime.KINDS).map(([kind, { label, colour }]) => {
        const pieces = shown.filter((piece) => piece.kind === kind);
        return {
          type: "bar", orientation: "h", name: label, showlegend: false, width: 0.8,
          base: pieces.map(({ start }) => plot.time(start)), x: pieces.map(({ start, end }) => 1000 * (end - start)), y: pieces.map(({ lane }) => lane),
          customdata: pieces.map(({ trial }) => trial), text: pieces.map((piece) => hover(piece, label, bin_s)), textposition: "none", hovertemplate: "%{text}<extra></extra>",
          marker: { color: colour(), line: { width: 0 }, pattern: { shape: kind === "lost" ? "/" : "" } },
        };
      });
      const layout = {
        barmode: "overlay", hovermode: "closest", margin: { l: 64, r: 16, t: 8, b: 40 },
        xaxis: { type: "date" },
        yaxis: { tickvals: work.lanes.map((_, i) => i), ticktext: work.lanes.map(({ label }) => format.escaped(label)), range: [work.lanes.length - 0.5, -0.5], fixedrange: true, showgrid: false, ticks: "" },
      };
      return { traces, layout };
    }

    function hover({ trial, start, end, worker, isRunning }, label, bin_s) {
      const time = format.duration(end - start);
      if (trial === null) return `${label} ${time}${bin_s ? ` of ${format.duration(bin_s)}` : ""}`;
      return [`trial ${trial}: ${label} ${time}${isRunning ? ", still running" : ""}`, worker, format.datetime(start)].map(format.escaped).join("<br>");
    }

    function drawWords() {
      const { isRecorded, pieces, lanes } = work, { bin_s } = workerLanes.visible(pieces, lanes.length, range(), MAX_PIECES);
      const origin = isRecorded ? "" : "Reconstructed from when trials ended and what they took: this study does not record its workers. ";
      const summed = bin_s ? ` Each ${format.duration(bin_s)} is summed up; zoom in for single trials.` : " Select a bar to see its trial.";
      words.textContent = pieces.length ? `${origin}${format.count(lanes.length, "lane")}, by machine and device.${summed}` : "No trial has been trained yet.";
    }

    function update({ data, names }) {
      if (!data && !names.includes("zoom.workers")) return;
      read();
      const lost = work.pieces.reduce((sum, { kind, start, end }) => sum + (kind === "lost" ? end - start : 0), 0);
      sums.replaceChildren(...(work.pieces.length ? workerTime.stackedBar(workerTime.totals(view.study, lost)) : []));
      drawWords();
      figure.hidden = !work.pieces.length;
      figure.style.height = `${100 + LANE_PX * work.lanes.length}px`;
      if (work.pieces.length) plot.draw(figure, describe, { zoom: "zoom.workers", shown: "time", onselect: view.select, label: "What each worker did over time" });
    }

    return { update };
  }

  return { mount };
})();
