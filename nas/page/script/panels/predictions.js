// Predicted against actual values: what the operator table said of the speed, and what the sampler expected of a training.

const predictions = (() => {
  const MAX_DOTS = 1500;

  /** The last `MAX_DOTS` of the rows for which `isKnown(i)`. */
  const latest = (count, isKnown) => Array.from({ length: count }, (_, i) => i).filter(isKnown).slice(-MAX_DOTS);

  /** {trials, predicted, actual} by the operator table, for each objective that it predicts. */
  function ofSpeed(study) {
    const entries = Object.entries((study.analysis && study.analysis.predictions) || {});
    return entries.map(([name, encoded]) => {
      const { trial, predicted, measured } = Object.fromEntries(Object.entries(encoded).map(([key, column]) => [key, columns.decode(column)]));
      const rows = latest(trial.length, () => true);
      return { field: study.field(name), title: `Predicted ${study.field(name).label}`, trials: rows.map((i) => trial[i]), predicted: rows.map((i) => predicted[i]), actual: rows.map((i) => measured[i]) };
    }).filter(({ trials }) => trials.length);
  }

  /** The same of the sampler's model for the primary objective, with the interval that it gave. */
  function ofSampler(study) {
    const field = study.field(study.primary.name), [predicted, low, high, actual] = ["predicted_median", "predicted_low", "predicted_high", field.key].map((key) => study.column(key));
    const trials = latest(study.count, (i) => Number.isFinite(predicted[i]) && study.text("state", i) === "complete" && Number.isFinite(actual[i]));
    if (!trials.length) return [];
    const inside = trials.filter((i) => actual[i] >= low[i] && actual[i] <= high[i]).length;
    const note = `${inside} of ${format.count(trials.length, "value")} (${format.percent(inside / trials.length)}) within the predicted intervals; 68 % is expected.`;
    return [{ field, title: `What the sampler expected of the ${field.label}`, note, trials, predicted: trials.map((i) => predicted[i]), actual: trials.map((i) => actual[i]), low: trials.map((i) => low[i]), high: trials.map((i) => high[i]) }];
  }

  function describe({ field, trials, predicted, actual, low, high }) {
    const all = [...predicted, ...actual].filter((value) => Number.isFinite(value) && (!field.log || value > 0));
    const ends = [all.reduce((a, b) => Math.min(a, b), Infinity), all.reduce((a, b) => Math.max(a, b), -Infinity)];
    const text = (value) => format.escaped(format.value(field, value));
    const bars = low ? { error_y: { type: "data", symmetric: false, array: high.map((value, i) => value - predicted[i]), arrayminus: low.map((value, i) => predicted[i] - value), thickness: 1, width: 0, color: theme.colour("--grid") } } : {};
    const dots = {
      type: "scatter", mode: "markers", x: actual, y: predicted, customdata: trials, marker: { color: theme.colour("--accent"), size: 6, opacity: 0.7 }, showlegend: false, ...bars,
      text: trials.map((trial, i) => `trial ${trial}<br>predicted ${text(predicted[i])}<br>actual ${text(actual[i])}`), hovertemplate: "%{text}<extra></extra>",
    };
    const equal = { type: "scatter", mode: "lines", name: "predicted = actual", x: ends, y: ends, hoverinfo: "skip", line: { color: theme.colour("--soft"), width: 1, dash: "dot" } };
    const axis = (title) => ({ title: format.escaped(title), type: field.log ? "log" : "linear" });
    return { traces: [equal, dots], layout: { xaxis: axis(`actual ${format.heading(field)}`), yaxis: axis(`predicted ${format.heading(field)}`) } };
  }

  function mount(root, view) {
    const grid = element("div", { class: "figures" }), drawn = new Map(); // key -> {box, note, figure}
    root.append(element("h2", {}, "Predictions"), grid);

    function place(key, title) {
      if (!drawn.has(key)) {
        const entry = { note: element("p", { class: "about" }), figure: element("div", { class: "figure" }) };
        entry.box = element("div", {}, element("h3", {}, title), entry.note, entry.figure);
        drawn.set(key, entry);
        grid.append(entry.box);
      }
      return drawn.get(key);
    }

    function update({ data }) {
      if (!data) return;
      const series = [...ofSpeed(view.study), ...ofSampler(view.study)];
      root.hidden = !series.length;
      for (const entry of series) {
        const key = `${entry.field.key}${entry.low ? ".sampler" : ""}`, { note, figure } = place(key, entry.title);
        note.textContent = entry.note || `The latest ${format.count(entry.trials.length, "measured trial")}; only the order matters to the search.`;
        plot.draw(figure, () => describe(entry), { onselect: view.select, label: entry.title });
      }
    }

    return { update };
  }

  return { mount };
})();
