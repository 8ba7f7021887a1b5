// Which parameters matter for an objective (nas/analysis/importance.py).

const importanceBars = (() => {
  const MAX_BARS = 15, BAR_PX = 24;

  const all = (study) => study.analysis && study.analysis.importance;

  /** The parameters that matter most over all objectives, as keys of fields; empty while this is not known. */
  function strongest(study) {
    const best = new Map();
    for (const { shares } of Object.values(all(study) || {}))
      for (const { parameter, share } of shares) best.set(parameter, Math.max(share, best.get(parameter) || 0));
    return [...best].sort((a, b) => b[1] - a[1]).map(([parameter]) => preferences.PREFIX + parameter);
  }

  function mount(root, view) {
    const { study } = view, words = element("p", { class: "about" }), figure = element("div", { class: "figure" });
    const chosen = () => study.objectives.find(({ name }) => name === state.get("importance")) || study.primary;
    const chooser = dom.select("Objective", study.objectives.map(({ name, label }) => [name, label]), chosen().name, (name) => state.set({ importance: name === study.primary.name ? null : name }));
    root.append(element("h2", {}, "What matters"), element("div", { class: "controls" }, chooser), words, figure);

    const entry = () => (all(study) || {})[chosen().name];
    const shown = () => entry().shares.slice(0, MAX_BARS);

    function describe() {
      const rows = shown(), names = rows.map(({ parameter }) => format.escaped(preferences.label(preferences.PREFIX + parameter)));
      const bars = {
        type: "bar", orientation: "h", y: names, x: rows.map(({ share }) => 100 * share), marker: { color: theme.colour("--accent") },
        error_x: { type: "data", symmetric: false, array: rows.map(({ deviation }) => 100 * deviation), arrayminus: rows.map(({ share, deviation }) => 100 * Math.min(share, deviation)), color: theme.colour("--soft"), thickness: 1.5 },
        text: rows.map(({ share, deviation }) => `${format.percent(share, 1)} ± ${format.percent(deviation, 1)}`), textposition: "none", hovertemplate: "%{text}<extra>%{y}</extra>",
      };
      return { traces: [bars], layout: { xaxis: { title: "share of importance (%)", rangemode: "tozero" }, yaxis: { type: "category", autorange: "reversed", showgrid: false, ticks: "" }, margin: { l: 64, r: 16, t: 8, b: 48 } } };
    }

    function sentence() {
      if (!study.analysis) return "Being computed …";
      if (!entry()) return "Not computed for this study.";
      const { trials, explained, note, shares } = entry(), left = shares.length - MAX_BARS;
      const model = shares.length ? `How much worse a random forest predicts ${chosen().label} if the values of a parameter are shuffled; ± one standard deviation. ${format.count(trials, "trial")}, ${format.percent(Math.max(0, explained))} of the variance of unseen trials explained.` : "";
      return [model, left > 0 ? `${format.count(left, "parameter")} of less importance not shown.` : "", note ? `${format.capitalised(note)}.` : ""].filter(Boolean).join(" ");
    }

    function update({ data, names }) {
      if (!data && !names.includes("importance")) return;
      chooser.querySelector("select").value = chosen().name;
      words.textContent = sentence();
      figure.hidden = !entry() || !entry().shares.length;
      if (figure.hidden) return;
      figure.style.height = `${90 + BAR_PX * shown().length}px`;
      plot.draw(figure, describe, { label: `Importance of parameters for ${chosen().label}` });
    }

    return { update };
  }

  return { mount, strongest };
})();
