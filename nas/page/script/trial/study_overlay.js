// Several studies on one front: their points and fronts in one plane, and their hypervolumes in one box.

const studyOverlay = (() => {
  const MAX_POINTS = 1500; // of a study off its front, evenly chosen

  /** The objectives that all `studies` have with the same direction and scale, in the order of the first. */
  function common(studies) {
    return studies[0].objectives.filter((objective) => studies.every((study) => study.objectives.some(
      (other) => other.name === objective.name && other.direction === objective.direction && other.log === objective.log)));
  }

  const pointsOf = (study, objectives) => study.counted.map((trial) => objectives.map(({ name }) => study.value(name, trial)));

  /** For each of `studies` its counted trials, front and hypervolume over `objectives`, in the box of all their trials. */
  function summaries(studies, objectives) {
    const points = studies.map((study) => pointsOf(study, objectives));
    const box = hypervolume.bounds(points.flat(), objectives);
    return studies.map((study, i) => ({ study, trials: study.counted.length, front: front(study, objectives).length, hypervolume: hypervolume.share(points[i], objectives, box) }));
  }

  function front(study, objectives) {
    return pareto.front(study.counted, objectives, objectives.map(({ name }) => study.column(name)));
  }

  function traces(study, shownName, [x, y], colour, symbol, isCurrent) {
    const ordered = front(study, [x, y]).sort((a, b) => study.value(x.name, a) - study.value(x.name, b));
    const values = (trials, { name }) => trials.map((trial) => study.value(name, trial));
    const name = format.escaped(shownName), onFront = new Set(ordered);
    const others = columns.evenly(study.counted.filter((trial) => !onFront.has(trial)), MAX_POINTS);
    const hover = `${name}, trial %{text}<extra></extra>`;
    const common = (trials) => ({ x: values(trials, x), y: values(trials, y), text: trials.map(String), customdata: isCurrent ? trials : undefined, hovertemplate: hover, legendgroup: study.key });
    return [
      { type: "scatter", mode: "markers", ...common(others), showlegend: false, marker: { color: colour, symbol, size: 6, opacity: 0.25 } },
      { type: "scatter", mode: "lines+markers", ...common(ordered), name, line: { color: colour, width: 1.5, shape: y.direction === "maximize" ? (x.direction === "minimize" ? "hv" : "vh") : "hv", dash: "dot" }, marker: { color: colour, symbol, size: 9 } },
    ];
  }

  /** The figure of `studies` in the plane of two objectives, as {traces, layout}; the points of the first can be selected. `nameOf(study)` tells them apart. */
  function describe(studies, [x, y], nameOf) {
    const axis = (objective) => ({ title: format.heading({ ...objective, format: "si" }), type: objective.log ? "log" : "linear" });
    return {
      traces: studies.flatMap((study, i) => traces(study, nameOf(study), [x, y], theme.COLOURS[i % theme.COLOURS.length], theme.SYMBOLS[i % theme.SYMBOLS.length], i === 0)),
      layout: { xaxis: axis(x), yaxis: axis(y) },
    };
  }

  /** The table of `summaries`. */
  function table(entries, objectives, nameOf) {
    const best = Math.max(...entries.map((entry) => entry.hypervolume));
    const rows = entries.map((entry, i) => {
      const mark = element("span", { class: "mark", "aria-hidden": "true" });
      mark.style.background = theme.COLOURS[i % theme.COLOURS.length];
      const isBest = entries.length > 1 && entry.hypervolume === best;
      return element("tr", {}, element("th", { scope: "row" }, mark, nameOf(entry.study)), element("td", { class: "number" }, format.integer(entry.trials)), element("td", { class: "number" }, format.integer(entry.front)),
        element("td", { class: isBest ? "number best" : "number" }, format.ratio(entry.hypervolume), isBest ? element("span", { class: "badge good" }, "best") : null));
    });
    const names = objectives.map(({ label }) => label).join(", ");
    return element("table", { class: "overlaid-studies" }, element("caption", {}, `Hypervolume over ${names}, in the box from the worst to the best value of all these studies.`),
      element("thead", {}, element("tr", {}, ...["study", "complete trials", "front", "hypervolume"].map((text, i) => element("th", { scope: "col", class: i ? "number" : null }, text)))), element("tbody", {}, ...rows));
  }

  return { common, summaries, describe, table };
})();
