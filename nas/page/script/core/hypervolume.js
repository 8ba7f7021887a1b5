// The share of a box that points dominate, exactly, and the box itself: the same numbers as nas/analysis/front.py.

const hypervolume = (() => {
  const scaled = (objective, value) => objective.log ? (value > 0 ? Math.log10(value) : NaN) : value;
  const isCounted = (point) => point.every(Number.isFinite);

  /** Points with logarithms where an objective has `log`; those with a value that has none are left out. */
  const scaledPoints = (points, objectives) => points.map((point) => point.map((value, k) => scaled(objectives[k], value))).filter(isCounted);

  /** The worst and best of each objective ({direction, log}) among `points` (lists of values): [{worst, best}], or null without points. */
  function bounds(points, objectives) {
    const counted = scaledPoints(points, objectives);
    if (!counted.length) return null;
    return objectives.map(({ direction }, k) => {
      let low = Infinity, high = -Infinity;
      for (const point of counted) {
        low = Math.min(low, point[k]);
        high = Math.max(high, point[k]);
      }
      return direction === "maximize" ? { worst: low, best: high } : { worst: high, best: low };
    });
  }

  /** A point in the unit box: 0 at the worst and 1 at the best; an objective with one value is 1 for all that are as good. */
  function unit(point, box, objectives) {
    return point.map((value, k) => {
      const { worst, best } = box[k];
      if (worst === best) return Number(objectives[k].direction === "maximize" ? value >= best : value <= best);
      return Math.min(1, Math.max(0, (value - worst) / (best - worst)));
    });
  }

  /** The area that points of the unit square dominate, seen from 0. */
  function area(points) {
    const order = [...points].sort((a, b) => b[0] - a[0] || b[1] - a[1]);
    let total = 0, height = 0;
    for (const [x, y] of order) if (y > height) {
      total += x * (y - height);
      height = y;
    }
    return total;
  }

  /** The points that no other one dominates, each once. */
  function nondominated(points) {
    const order = [...points].sort((a, b) => b[0] - a[0]), kept = [];
    for (const point of order) {
      if (kept.some((other) => other.every((value, k) => value >= point[k]))) continue;
      for (let i = kept.length - 1; i >= 0; i--) if (kept[i].every((value, k) => value <= point[k])) kept.splice(i, 1);
      kept.push(point);
    }
    return kept;
  }

  /** The volume that points of the unit box dominate: slices along the last coordinate, each a volume of one dimension less. */
  function volume(points) {
    const front = nondominated(points);
    if (!front.length) return 0;
    const last = front[0].length - 1;
    if (last === 0) return Math.max(...front.map(([x]) => x));
    if (last === 1) return area(front);
    const order = front.sort((a, b) => b[last] - a[last]);
    let total = 0;
    order.forEach((point, i) => {
      const thickness = point[last] - (i + 1 < order.length ? order[i + 1][last] : 0);
      if (thickness > 0) total += thickness * volume(order.slice(0, i + 1).map((other) => other.slice(0, last)));
    });
    return total;
  }

  /** The share of `box` that `points` dominate, 0 to 1; 0 where no objective varies. */
  function share(points, objectives, box) {
    if (box === null || box.every(({ worst, best }) => worst === best)) return 0;
    return Math.min(1, volume(scaledPoints(points, objectives).map((point) => unit(point, box, objectives))));
  }

  return { bounds, share };
})();
