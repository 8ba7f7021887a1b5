// The arrow keys of panel "Front".

const frontKeys = (() => {
  const STEPS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };

  /** The trial that a key goes to along the front, by the horizontal axis; null to end the selection, undefined for other keys. */
  function next(key, { points, selected }) {
    if (key === "Escape") return null;
    const order = [...points.front].sort((a, b) => points.columns[0][a] - points.columns[0][b] || a - b), last = order.length - 1;
    if (last < 0) return undefined;
    if (key === "Home" || key === "End") return order[key === "Home" ? 0 : last];
    if (!(key in STEPS)) return undefined;
    const at = order.indexOf(selected);
    if (at < 0) return order[STEPS[key] > 0 ? 0 : last];
    return order[Math.min(last, Math.max(0, at + STEPS[key]))];
  }

  return { next };
})();
