// How the workers spent their time, from the trials' sums and from their segments.

const workerTime = (() => {
  const KINDS = {
    train: { label: "training", colour: () => theme.COLOURS[0] },
    validate: { label: "validation", colour: () => theme.COLOURS[4] },
    measure: { label: "measuring", colour: () => theme.COLOURS[5] },
    overhead: { label: "overhead", colour: () => theme.COLOURS[7] },
    idle: { label: "idle", colour: () => theme.colour("--line") },
    lost: { label: "lost with a worker", colour: () => theme.COLOURS[1] },
  };

  /** Seconds by kind over all trials that trained; `lost_s` come from the timeline. */
  function totals(study, lost_s) {
    const column = (key) => study.column(key);
    const [train, wall, overhead, idle] = ["train_s", "wall_s", "overhead_s", "idle_s"].map(column);
    const sums = { train: 0, validate: 0, measure: 0, overhead: 0, idle: 0, lost: lost_s };
    for (let i = 0; i < study.count; i++) {
      if (Number.isNaN(train[i]) || Number.isNaN(wall[i])) continue;
      const measured = (study.segments.get(i) || []).reduce((sum, segment) => sum + segment.measure_s, 0), other = overhead[i] || 0;
      sums.train += train[i];
      sums.validate += Math.max(0, wall[i] - other - train[i]);
      sums.measure += Math.min(measured, other);
      sums.overhead += Math.max(0, other - measured);
      sums.idle += idle[i] || 0;
    }
    return sums;
  }

  /** A bar whose parts are [kind, seconds], with a legend that says their shares. */
  function stackedBar(sums) {
    const parts = Object.entries(sums).filter(([, seconds]) => seconds > 0), total = parts.reduce((sum, [, seconds]) => sum + seconds, 0);
    const words = ([kind, seconds]) => `${KINDS[kind].label} ${format.percent(seconds / total, seconds < 0.1 * total ? 1 : 0)}`;
    const bar = element("div", { class: "stacked", role: "img", "aria-label": parts.map(words).join(", ") });
    const legend = element("ul", { class: "legend" });
    for (const part of parts) {
      const piece = element("span", { title: `${words(part)}, ${format.duration(part[1])}` }), swatch = element("i");
      piece.style.flexGrow = part[1] / total;
      piece.style.background = swatch.style.background = KINDS[part[0]].colour();
      bar.append(piece);
      legend.append(element("li", {}, swatch, words(part), element("small", {}, format.duration(part[1]))));
    }
    return [bar, legend];
  }

  return { KINDS, totals, stackedBar };
})();
