// The sections of the drawer that need the details of the trial (nas/page/detail.py).

const detailSections = (() => {
  const section = (...parts) => trialSections.section(...parts);
  const OUTCOMES = { failed: "Failure", refused: "Refused", duplicate: "Duplicate" };

  function limitText(study, { objective, value, limit }) {
    const field = study.field(objective);
    const shown = (text) => field ? format.value(field, Number(text)) : text;
    return `${field ? format.capitalised(field.label) : objective}: ${shown(value)}, but the limit is ${shown(limit)}.`;
  }

  /** Why the trial was not trained to an end. */
  function drawEnding(view, detail) {
    if (!detail.reason) return null;
    const { study } = view, kind = study.text("state", detail.number);
    const lines = [element("p", { class: "reason" }, detail.reason)];
    if (detail.limit) lines.push(element("p", {}, limitText(study, detail.limit)));
    if (detail.duplicate_of !== undefined) lines.push(element("p", {}, "The same architecture is ", trialSections.trialLink(view, detail.duplicate_of), "."));
    if (detail.traceback) lines.push(element("details", { class: "fold", open: true }, element("summary", {}, "Traceback"), copyButton(() => detail.traceback), element("pre", { tabindex: 0 }, detail.traceback)));
    return element("section", { class: "trial-section ending" }, element("h3", {}, OUTCOMES[kind] || "Ending"), ...lines);
  }

  function command([label, text]) {
    return element("div", { class: "command" }, element("div", { class: "command-title" }, element("span", {}, label), copyButton(() => text)), element("pre", {}, text));
  }

  function sourceText(label, text) {
    return element("details", { class: "fold" }, element("summary", {}, label), copyButton(() => text), element("pre", { tabindex: 0 }, text));
  }

  /** Commands and Python lines, and the architecture as JSON and YAML. */
  function drawCommands(detail) {
    const { commands = [], architecture } = detail;
    if (!commands.length && !architecture) return null;
    return section("Take it", ...commands.map(command), ...(architecture ? [
      sourceText("Architecture as JSON", JSON.stringify(architecture, null, 2)),
      sourceText("Architecture as YAML", yaml.text(architecture)),
    ] : []));
  }

  /** A segment of the training (nas/study/segments.py): where, how long, for what. */
  function segmentText({ worker, start, end, measure_s, train_s, validate_s, until, outcome }) {
    const spent = [[train_s, "training"], [validate_s, "validation"], [measure_s, "measuring"]].filter(([seconds]) => seconds > 0);
    const of = spent.length ? ` (${spent.map(([seconds, noun]) => `${format.duration(seconds)} ${noun}`).join(", ")})` : "";
    const took = end === null || end === undefined ? `since ${format.datetime(start)}` : `${format.duration(end - start)}${of}`;
    return [worker, took, until ? `to epoch ${until}` : null, outcome].filter(Boolean).join(", ");
  }

  /** Identity, seed, device, times, measurements, workers, versions. */
  function drawRecord(study, detail) {
    const { number: trial, measurements = [], predictions = [], segments = [] } = detail;
    const column = (key, label) => [label || (study.field(key) || {}).label, study.text(key, trial)];
    const rows = [
      column("id", "architecture"), ["seed", detail.seed === undefined ? null : String(detail.seed)], column("device"), column("retried_from", "repeats trial"), ["inherited", detail.inherited],
      column("started"), column("finished"), ...["wall_s", "train_s", "overhead_s", "idle_s"].map((key) => column(key)),
      ...measurements.map(([label, text]) => [`${label} measured`, text]),
      ...predictions.map(([label, text]) => [`${label} predicted, not measured`, text]),
      ...segments.map((segment, i) => [segments.length > 1 ? `segment ${i + 1}` : "worker", segmentText(segment)]),
      ["software", detail.environment],
    ].filter(([, text]) => text && text !== format.MISSING);
    return section("Record", element("dl", { class: "values record" }, ...rows.flatMap(([label, text]) => [element("dt", {}, label), element("dd", {}, text)])));
  }

  /** The network, its curves, its blocks and its classes. */
  function drawNetwork(view, detail) {
    const { study, source: from } = view, trial = detail.number, curves = learningCurves.draw(study, trial, detail);
    return [
      detail.parts ? section("Architecture", networkDrawing.draw(detail, study)) : null,
      curves.length ? section("Learning curve", ...curves) : null,
      detail.channels ? channelGraphs.draw(detail, () => from.pictures(study.key, detail)) : null,
      detail.classes ? classTables.draw(detail.classes) : null,
    ];
  }

  return { drawEnding, drawCommands, drawRecord, drawNetwork };
})();
