// The trials without a result, by reason, and those that were repeated.

const losses = (() => {
  const STATES = ["failed", "refused", "duplicate"], MAX_LINKS = 24;

  /** [{state, reason, trials}], failures first, the most frequent reason of a state first. */
  function groups(study) {
    const byReason = new Map();
    for (let trial = 0; trial < study.count; trial++) {
      const state = study.state(trial);
      if (!STATES.includes(state)) continue;
      const reason = study.text("reason", trial), key = `${state}\n${reason}`;
      if (!byReason.has(key)) byReason.set(key, { state, reason, trials: [] });
      byReason.get(key).trials.push(trial);
    }
    return [...byReason.values()].sort((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state) || b.trials.length - a.trials.length);
  }

  /** [[repeated, by]] of the trials that repeat failed ones. */
  function retries(study) {
    const column = study.column("retried_from");
    return Array.from({ length: study.count }, (_, trial) => [column[trial], trial]).filter(([from]) => !Number.isNaN(from));
  }

  function link(trial, view) {
    return element("button", { type: "button", class: "link", "data-trial": trial, onclick: () => view.select(trial) }, String(trial));
  }

  /** Links to `trials`, the first `MAX_LINKS` unless `isOpen`. */
  function links(trials, view) {
    const node = element("span", { class: "links" }), rest = trials.length - MAX_LINKS;
    node.append(...trials.slice(0, MAX_LINKS).map((trial) => link(trial, view)));
    if (rest > 0) {
      const more = element("button", { type: "button", class: "quiet", onclick: () => more.replaceWith(...trials.slice(MAX_LINKS).map((trial) => link(trial, view))) }, `${format.integer(rest)} more`);
      node.append(more);
    }
    return node;
  }

  function mount(root, view) {
    const body = element("div", { class: "scroll" });
    root.append(element("h2", {}, "Trials without a result"), body);
    let shown = "";

    function update({ data }) {
      if (!data) return;
      const { study } = view, rows = groups(study), repeated = retries(study);
      const state = JSON.stringify([rows, repeated]);
      if (state === shown) return; // the list that a reader has opened stays open
      shown = state;
      const tables = [];
      if (rows.length) tables.push(dom.table("By reason", ["state", "reason", "trials", "numbers"], rows.map((row) => [row.state, row.reason, format.integer(row.trials.length), links(row.trials, view)]), [2]));
      if (repeated.length) tables.push(dom.table("Failed trials that were repeated", ["failed", "repeated as", "which is now"], repeated.map(([from, trial]) => [link(from, view), link(trial, view), study.state(trial)])));
      body.replaceChildren(...(tables.length ? tables : [element("p", { class: "about" }, "No trial failed, was refused or was a duplicate.")]));
    }

    return { update };
  }

  return { mount };
})();
