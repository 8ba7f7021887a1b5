// The rungs of a study with a scheduler: how many trials reached each, and what their training took.

const rungBars = (() => {
  const SERIES = [
    ["promoted", "promoted, or complete at the last rung", () => theme.COLOURS[2]],
    ["ended", "stopped or failed", () => theme.COLOURS[7]],
    ["open", "training or paused", () => theme.COLOURS[4]],
  ];

  function mount(root, view) {
    const trials = element("div", { class: "figure short" }), time = element("div", { class: "figure short" }), table = element("div", { class: "scroll" });
    root.append(element("h2", {}, "Budget by rung"), element("div", { class: "figures" }, trials, time), table);

    const rungs = () => view.study.rungs.map((rung) => ({ ...rung, open: rung.entered - rung.promoted - rung.ended }));
    const labels = () => rungs().map(({ epoch }) => `epoch ${epoch}`);

    function describeTrials() {
      const rows = rungs();
      const traces = SERIES.map(([key, name, colour]) => ({
        type: "bar", name, x: labels(), y: rows.map((row) => row[key]), marker: { color: colour() }, hovertemplate: `%{y} %{fullData.name}<extra>%{x}</extra>`,
      }));
      return { traces, layout: { barmode: "stack", xaxis: { type: "category" }, yaxis: { title: "trials" } } };
    }

    function describeTime() {
      const rows = rungs(), total = rows.reduce((sum, { seconds }) => sum + seconds, 0) || 1;
      const share = {
        type: "bar", x: labels(), y: rows.map(({ seconds }) => 100 * seconds / total), marker: { color: theme.colour("--accent") },
        text: rows.map(({ seconds }) => format.duration(seconds)), hovertemplate: "%{y:.1f} %<br>%{text}<extra>%{x}</extra>", textposition: "none",
      };
      return { traces: [share], layout: { xaxis: { type: "category" }, yaxis: { title: "training time (%)", rangemode: "tozero" } } };
    }

    function update({ data }) {
      const rows = rungs();
      root.hidden = !rows.length;
      if (!rows.length || !data) return;
      const cells = rows.map((row) => [`epoch ${row.epoch}`, ...[row.entered, row.promoted, row.ended, row.open, row.epochs].map(format.integer), format.duration(row.seconds)]);
      const heads = ["rung", "entered", "promoted", "stopped or failed", "training or paused", "epochs trained", "training and validation"];
      table.replaceChildren(dom.table("Trials that trained towards each rung, and what that took", heads, cells, [1, 2, 3, 4, 5, 6]));
      plot.draw(trials, describeTrials, { label: "Trials by rung" });
      plot.draw(time, describeTime, { label: "Training time by rung" });
    }

    return { update };
  }

  return { mount };
})();
