// Panel "Front": the trials in the plane of two objectives.

definePanel({
  id: "front",
  title: "Front",
  order: 1,
  mount(root, view) {
    const figure = element("div", { class: "figure large" });
    root.append(figure);

    function describe() {
      const { study } = view;
      const x = study.field(study.objectives[1] ? study.objectives[1].name : study.objectives[0].name), y = study.field(study.objectives[0].name);
      const palette = theme.palette(study.field("mixer") ? study.field("mixer").codes : []);
      const traces = [...palette].map(([name, { colour, symbol }]) => {
        const trials = study.counted.filter((trial) => study.text("mixer", trial) === name);
        return {
          type: "scattergl", mode: "markers", name: format.escaped(name), customdata: trials,
          x: trials.map((trial) => study.value(x.key, trial)), y: trials.map((trial) => study.value(y.key, trial)),
          marker: { color: colour, symbol, size: trials.map((trial) => study.front.has(trial) ? 11 : 7), opacity: trials.map((trial) => study.front.has(trial) ? 1 : 0.4) },
        };
      });
      return { traces, layout: { xaxis: { title: format.heading(x), type: x.log ? "log" : "linear" }, yaxis: { title: format.heading(y) } } };
    }

    return { update: () => plot.draw(figure, describe, { zoom: "zoom.front", shown: "xy", onselect: view.select, label: "Front" }) };
  },
});
