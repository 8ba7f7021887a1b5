// The figures and the table of panel "Retrained".

const retrainedFront = (() => {
  const GROUPS = [ // [title, whether a model is in it, colour, symbol]
    ["networks of the search", ({ kind }) => kind === "trial", 0, "circle"],
    ["other architectures", ({ kind }) => kind === "architecture" || kind === "preset", 2, "square"],
    ["baselines of timm", ({ kind }) => kind === "baseline", 1, "diamond"],
  ];
  const MAX_NAMED = 8; // with more networks, only those of the front and the baselines have their names and curves
  const ACCURACY = { val: "validation accuracy", test: "test accuracy" };

  /** "trial 12, finetuned": a network and how its training began. */
  function nameOf({ subject, start, teacher }) {
    const beginnings = { trial: "from the weights of the search", pretrained: "pretrained" };
    return [subject, beginnings[start], teacher && `taught by ${teacher}`].filter(Boolean).join(", ");
  }

  /** "0.9312 ± 0.0041"; without an interval where one seed is all there is. */
  function withInterval({ value, low, high }) {
    return high === null ? format.ratio(value) : `${format.ratio(value)} ± ${format.ratio(Math.max(high - value, value - low))}`;
  }

  /** The indices of the `models` that no other beats in MACs and accuracy. */
  function frontOf(models, split) {
    const values = [models.map(({ macs }) => macs === null ? NaN : macs), models.map((model) => model[split].value)];
    return pareto.front(models.map((_, i) => i), [{ direction: "minimize" }, { direction: "maximize" }], values);
  }

  /** Which networks of the front are baselines: the answer to "was the search worth it?". */
  function sentence(models, split) {
    const front = frontOf(models, split), foreign = front.filter((i) => models[i].kind === "baseline").length;
    const seeds = new Set(models.map((model) => model.seeds.length));
    const baselines = models.some(({ kind }) => kind === "baseline") ? `, ${foreign} of them ${foreign === 1 ? "a baseline" : "baselines"}` : "";
    return `${format.count(models.length, "network")} after the full training, ${front.length} on the front of ${ACCURACY[split]} and MACs${baselines}. `
      + `${seeds.size === 1 ? format.count([...seeds][0], "seed") : `${Math.min(...seeds)} to ${Math.max(...seeds)} seeds`} each. The test split is seen once, after the training.`;
  }

  /** The networks that have names and curves. */
  function named(models, split) {
    if (models.length <= MAX_NAMED) return models;
    const front = new Set(frontOf(models, split));
    return models.filter(({ kind }, i) => front.has(i) || kind === "baseline");
  }

  function trace(models, split, [title, isMember, colour, symbol]) {
    const labelled = new Set(named(models, split)), label = (model) => labelled.has(model) ? format.escaped(model.subject) : "";
    const members = models.filter((model) => isMember(model) && model.macs !== null);
    if (!members.length) return [];
    const [starts, ends] = ["low", "high"].map((end) => members.map((model) => model[split][end] === null ? 0 : Math.abs(model[split][end] - model[split].value)));
    return [{
      type: "scatter", mode: "markers+text", name: title, x: members.map(({ macs }) => macs), y: members.map((model) => model[split].value),
      customdata: members.map(({ trial }) => trial), text: members.map(label), textposition: "top center", textfont: { size: 10, color: theme.colour("--soft") },
      hovertext: members.map((model) => `${format.escaped(nameOf(model))}<br>${ACCURACY[split]} ${withInterval(model[split])}<br>${format.si(model.macs, "MACs")}`), hovertemplate: "%{hovertext}<extra></extra>",
      marker: { color: theme.COLOURS[colour], symbol, size: 10 }, error_y: { type: "data", symmetric: false, array: ends, arrayminus: starts, visible: ends.some((end) => end > 0), thickness: 1, width: 3, color: theme.colour("--soft") },
    }];
  }

  /** Accuracy after the full training against MACs. */
  function describe(models, split) {
    const front = frontOf(models, split).map((i) => models[i]).sort((a, b) => a.macs - b.macs);
    const stairs = { type: "scatter", mode: "lines", name: "front", hoverinfo: "skip", x: front.map(({ macs }) => macs), y: front.map((model) => model[split].value), line: { dash: "dot", width: 1.6, shape: "hv", color: theme.colour("--soft") } };
    return { traces: [stairs, ...GROUPS.flatMap((group) => trace(models, split, group))], layout: { xaxis: { title: "MACs", type: "log" }, yaxis: { title: ACCURACY[split] } } };
  }

  /** The trials that were trained from scratch and have a value of the search: [{model, proxy}]. */
  function ranked(study, models) {
    const accuracies = study.column("accuracy");
    return models.filter(({ trial, start }) => trial !== null && start === "scratch" && Number.isFinite(accuracies[trial])).map((model) => ({ model, proxy: accuracies[model.trial] }));
  }

  /** Validation accuracy after the full training against that in the search. */
  function describeRank(study, trials) {
    const dots = {
      type: "scatter", mode: "markers", showlegend: false, x: trials.map(({ proxy }) => proxy), y: trials.map(({ model }) => model.val.value), customdata: trials.map(({ model }) => model.trial),
      text: trials.map(({ model }) => format.escaped(model.subject)), hovertemplate: "%{text}<br>in the search %{x:.4f}<br>retrained %{y:.4f}<extra></extra>", marker: { color: theme.COLOURS[0], size: 9 },
    };
    return { traces: [dots], layout: { xaxis: { title: "validation accuracy in the search" }, yaxis: { title: "retrained" } } };
  }

  function table(view, models, recipe) {
    const front = new Set(frontOf(models, "val")), accuracies = view.study.column("accuracy"), speeds = view.study.column("images_per_s");
    const speedOf = ({ trial, images_per_s: own }) => trial === null ? own : speeds[trial];
    const rows = models.map((model, i) => ({ model, i })).sort((a, b) => (a.model.macs ?? Infinity) - (b.model.macs ?? Infinity)).map(({ model, i }) => [
      model.trial === null ? nameOf(model) : element("button", { type: "button", class: "link", onclick: () => view.select(model.trial) }, nameOf(model)),
      front.has(i) ? "✓" : "", format.si(model.macs), format.si(model.params), model.trial === null ? format.MISSING : format.ratio(accuracies[model.trial]),
      withInterval(model.val), withInterval(model.test), String(model.seeds.length), format.si(speedOf(model)), format.duration(model.train_s),
    ]);
    const heads = ["network", "front", "MACs", "parameters", "accuracy in the search", "validation accuracy", "test accuracy", "seeds", "images/s", "training"];
    const caption = `Trained for ${format.count(recipe.epochs, "epoch")} by one recipe; mean over the seeds with a 95 % interval, whose deviation is pooled over all networks`;
    return dom.table(caption, heads, rows, [2, 3, 4, 5, 6, 7, 8, 9]);
  }

  /** The learning curves of the full trainings; empty without two epochs. */
  function curves(models) {
    const drawn = named(models, "val").filter(({ curve }) => curve.filter((value) => value !== null).length > 1);
    if (!drawn.length) return [];
    const series = drawn.map((model, i) => ({
      x: model.curve.map((_, epoch) => epoch + 1), y: model.curve.map((value) => value === null ? NaN : value), colour: theme.COLOURS[i % theme.COLOURS.length], width: 2,
      dash: [null, "7 3", "2 3"][Math.floor(i / theme.COLOURS.length) % 3], name: nameOf(model), isMain: i === 0,
    }));
    const readout = (x, y) => `${nameOf(drawn[0])}, epoch ${x}: ${format.ratio(y)}`;
    return [element("h3", {}, "Learning curves"), lineChart.draw(series, { title: "Validation accuracy", label: "Validation accuracy by epoch", yText: (value) => value.toFixed(2), readout, legend: true })];
  }

  return { sentence, describe, describeRank, ranked, table, curves };
})();
