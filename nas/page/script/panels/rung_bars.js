// The rungs of a study with a scheduler: how many trials reached each, and what their training took.

const rungBars = (() => {
  const SERIES = [
    ["promoted", "promoted, or complete at the last rung", () => theme.COLOURS[2]],
    ["ended", "stopped or failed", () => theme.COLOURS[7]],
    ["open", "training or paused", () => theme.COLOURS[4]],
  ];

  function mount(root, view) {
    const figure = element("div", { class: "figure short" }), table = element("div", { class: "scroll" });
    root.append(element("h2", {}, "Budget by rung"), figure, table);

    const rungs = () => view.study.rungs.map((rung) => ({ ...rung, open: rung.entered - rung.promoted - rung.ended }));

    function describe() {
      const rows = rungs(), labels = rows.map(({ epoch }) => `epoch ${epoch}`), total = rows.reduce((sum, { seconds }) => sum + seconds, 0);
      const bars = SERIES.map(([key, name, colour]) => ({
        type: "bar", name, x: labels, y: rows.map((row) => row[key]), marker: { color: colour() }, hovertemplate: `%{y} %{fullData.name}<extra>%{x}</extra>`,
      }));
      const share = {
        type: "bar", name: "share of the training time", x: labels, y: rows.map(({ seconds }) => 100 * seconds / (total || 1)), xaxis: "x2", yaxis: "y2",
        marker: { color: theme.COLOURS[0] }, text: rows.map(({ seconds }) => format.duration(seconds)), hovertemplate: "%{y:.1f} %<br>%{text}<extra>%{x}</extra>", textposition: "none",
      };
      const layout = {
        barmode: "stack", xaxis: { domain: [0, 0.46], type: "category" }, yaxis: { title: "trials" },
        xaxis2: { domain: [0.56, 1], anchor: "y2", type: "category" }, yaxis2: { title: "training time (%)", anchor: "x2", rangemode: "tozero" },
      };
      return { traces: [...bars, share], layout };
    }

    function update({ data }) {
      const rows = rungs();
      root.hidden = !rows.length;
      if (!rows.length || !data) return;
      const cells = rows.map((row) => [`epoch ${row.epoch}`, ...[row.entered, row.promoted, row.ended, row.open, row.epochs].map(format.integer), format.duration(row.seconds)]);
      const heads = ["rung", "entered", "promoted", "stopped or failed", "training or paused", "epochs trained", "training and validation"];
      table.replaceChildren(dom.table("Trials that trained towards each rung, and what that took", heads, cells, [1, 2, 3, 4, 5, 6]));
      plot.draw(figure, describe, { label: "Trials and training time by rung" });
    }

    return { update };
  }

  return { mount };
})();
