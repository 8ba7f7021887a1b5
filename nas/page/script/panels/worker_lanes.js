// The work of each worker as pieces of time in lanes: {lane, start, end, kind, trial, worker}.
//
// A lane is a device of a machine; workers of one device that follow one another share a lane, those that overlap have one each.
// Studies of earlier versions record no segments: there, pieces are reconstructed from when trials ended and what they took.

const workerLanes = (() => {
  const SMALLEST_GAP_S = 0.05, LABEL_LENGTH = 22;
  const OVERLAP = 0.3; // of a reconstructed run, whose end is known only to when the driver heard of it

  /** The parts of a segment, one after another. Validation comes between epochs, but is drawn at the end. */
  function piecesOf({ start, end, measure_s, train_s, validate_s }, rest) {
    const pieces = [], trainEnd = Math.max(start, end - validate_s), trainStart = Math.max(start, trainEnd - train_s);
    const measured = Math.min(start + measure_s, trainStart);
    const add = (kind, from, to) => { if (to > from) pieces.push({ kind, start: from, end: to, ...rest }); };
    add("measure", start, measured);
    add("overhead", measured, trainStart);
    add("train", trainStart, trainEnd);
    add("validate", trainEnd, end);
    return pieces;
  }

  /** Put runs {start, end, device, ...} in lanes: each in the first lane of its device that is free. */
  function pack(runs, tolerance = 0) {
    const lanes = [];
    for (const run of runs.sort((a, b) => a.start - b.start)) {
      let lane = lanes.find((other) => other.device === run.device && other.end <= run.start + SMALLEST_GAP_S + tolerance * (run.end - run.start));
      if (!lane) lanes.push(lane = { device: run.device, runs: [] });
      lane.runs.push(run);
      lane.end = run.end;
    }
    return lanes.sort((a, b) => a.device.localeCompare(b.device, "en", { numeric: true }));
  }

  function lastTime(study) {
    let last = -Infinity;
    for (const key of ["started", "finished"]) for (const time of study.column(key)) if (time > last) last = time;
    for (const list of study.segments.values()) for (const { start, end } of list) last = Math.max(last, start, end || 0);
    return study.searching ? Math.max(last, Date.now() / 1000) : last;
  }

  /** Segments by worker, in order; one without an end that was lost ends when its worker or its trial is next seen, or at once. */
  function segmentsByWorker(study) {
    const now = lastTime(study), workers = new Map();
    for (const [trial, list] of study.segments) list.forEach((segment, i) => {
      const isLast = i === list.length - 1, runs = segment.outcome === "running" && study.searching && isLast;
      const isLost = segment.outcome === "lost" || (Number.isNaN(segment.end) && !runs);
      const next = isLast ? segment.start : list[i + 1].start;
      const end = Number.isNaN(segment.end) ? (runs ? now : Math.max(next, segment.start + 1)) : segment.end;
      const entry = { ...segment, trial, end, isLost, runs };
      if (workers.has(segment.worker)) workers.get(segment.worker).push(entry);
      else workers.set(segment.worker, [entry]);
    });
    for (const list of workers.values()) list.sort((a, b) => a.start - b.start);
    return workers;
  }

  function piecesOfWorker(worker, segments) {
    const pieces = [];
    segments.forEach((segment, i) => {
      const rest = { trial: segment.trial, worker }, before = segments[i - 1];
      if (before && segment.start - before.end > SMALLEST_GAP_S) pieces.push({ kind: "idle", start: before.end, end: segment.start, trial: null, worker });
      if (segment.isLost) pieces.push({ kind: "lost", start: segment.start, end: segment.end, ...rest });
      else if (segment.runs) pieces.push({ kind: "train", start: segment.start, end: segment.end, isRunning: true, ...rest });
      else pieces.push(...piecesOf(segment, rest));
    });
    return pieces;
  }

  function recorded(study) {
    const runs = [...segmentsByWorker(study)].map(([worker, segments]) => {
      const [host, device = ""] = worker.split("/");
      return { device: `${host} ${device}`.trim(), start: segments[0].start, end: Math.max(...segments.map(({ end }) => end)), pieces: piecesOfWorker(worker, segments) };
    });
    return pack(runs);
  }

  function reconstructed(study) {
    const [finished, wall, train, overhead, idle] = ["finished", "wall_s", "train_s", "overhead_s", "idle_s"].map((key) => study.column(key));
    const runs = [];
    for (let i = 0; i < study.count; i++) {
      if (Number.isNaN(finished[i]) || !(wall[i] > 0)) continue;
      const start = finished[i] - wall[i], before = Math.min(idle[i] || 0, wall[i] + 3600);
      const segment = { start, end: finished[i], measure_s: 0, train_s: train[i] || 0, validate_s: Math.max(0, wall[i] - (train[i] || 0) - (overhead[i] || 0)) };
      const device = study.text("device", i), rest = { trial: i, worker: device };
      const waits = before > SMALLEST_GAP_S ? [{ kind: "idle", start: start - before, end: start, trial: null, worker: device }] : [];
      runs.push({ device: device === format.MISSING ? "unknown device" : device, start: start - before, end: finished[i], pieces: [...waits, ...piecesOf(segment, rest)] });
    }
    return pack(runs, OVERLAP);
  }

  const shortened = (text) => text.length > LABEL_LENGTH ? `${text.slice(0, LABEL_LENGTH - 1)}…` : text;

  /** {lanes: [{device, label}], pieces, isRecorded}. */
  function of(study) {
    const isRecorded = study.segments.size > 0, packed = isRecorded ? recorded(study) : reconstructed(study);
    const numbers = new Map(), counts = new Map();
    for (const { device } of packed) counts.set(device, (counts.get(device) || 0) + 1);
    const lanes = packed.map(({ device }) => {
      numbers.set(device, (numbers.get(device) || 0) + 1);
      return { device, label: counts.get(device) > 1 ? `${shortened(device)} #${numbers.get(device)}` : shortened(device) };
    });
    const pieces = packed.flatMap(({ runs }, lane) => runs.flatMap((run) => run.pieces.map((piece) => ({ ...piece, lane }))));
    return { lanes, pieces, isRecorded };
  }

  /** Pieces within [from, to]; more than `limit` of them are summed up in bins of time, in which each kind has its share. */
  function visible(pieces, lanes, [from, to], limit) {
    const within = pieces.filter((piece) => piece.end >= from && piece.start <= to);
    if (within.length <= limit) return { shown: within, bin_s: 0 };
    const bins = Math.max(40, Math.floor(limit / (Object.keys(workerTime.KINDS).length * lanes))), size = (to - from) / bins, sums = new Map();
    for (const piece of within) {
      const first = Math.max(0, Math.floor((piece.start - from) / size)), last = Math.min(bins - 1, Math.floor((piece.end - from) / size));
      for (let bin = first; bin <= last; bin++) {
        const seconds = Math.min(piece.end, from + (bin + 1) * size) - Math.max(piece.start, from + bin * size);
        const key = piece.lane * bins + bin;
        if (!sums.has(key)) sums.set(key, {});
        sums.get(key)[piece.kind] = (sums.get(key)[piece.kind] || 0) + seconds;
      }
    }
    const shown = [];
    for (const [key, kinds] of sums) {
      let start = from + (key % bins) * size;
      for (const kind of Object.keys(workerTime.KINDS)) {
        if (!kinds[kind]) continue;
        shown.push({ lane: Math.floor(key / bins), kind, start, end: start + kinds[kind], trial: null });
        start += kinds[kind];
      }
    }
    return { shown, bin_s: size };
  }

  return { of, visible };
})();
