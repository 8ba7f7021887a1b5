// The start page of a server: its studies, with what each has reached. Entries are those of nas/dashboard/summary.py.

const studyList = (() => {
  const WORDS = {
    reading: "reading …", searching: "searching", interrupted: "interrupted", finished: "finished", empty: "no trials yet",
    gone: "gone", unreadable: "cannot be read",
  };
  const HEADINGS = ["study", "state", "trials", "best", "front", "hypervolume", "last result"];
  const FILTER_FROM = 10; // with so many studies there is a field to filter them
  const TELL_MS = 10000;
  const LINE = { width: 96, height: 24, margin: 2 };

  // Parts of a row ----------------------------------------------------------------------------------------------------

  /** A line of `values` between 0 and 1, without axes. */
  function sparkline(values) {
    if (values.length < 2) return null;
    const low = Math.min(...values), span = Math.max(...values) - low || 1;
    const x = (i) => LINE.margin + i * (LINE.width - 2 * LINE.margin) / (values.length - 1);
    const y = (value) => LINE.height - LINE.margin - (value - low) / span * (LINE.height - 2 * LINE.margin);
    const points = values.map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
    const attributes = { viewBox: `0 0 ${LINE.width} ${LINE.height}`, class: "sparkline", role: "img", "aria-label": "Hypervolume over trials" };
    return svg("svg", attributes, svg("polyline", { points }));
  }

  function progress({ trials, target }) {
    const text = target ? `${format.integer(trials)} of ${format.integer(target)}` : format.integer(trials);
    if (!target) return [text];
    return [text, element("progress", { max: target, value: Math.min(trials, target), "aria-label": "Trials" })];
  }

  function ago(seconds) {
    return seconds === null || seconds === undefined ? format.MISSING : `${format.duration(Math.max(0, Math.round(Date.now() / 1000 - seconds))).replace(".0 s", " s")} ago`;
  }

  function cells(entry) {
    const { key, name, folder, state: word, problem, best, front, hypervolume } = entry;
    const isKnown = entry.trials !== undefined;
    const link = element("a", { href: `#/${encodeURIComponent(key)}/` }, name);
    return [
      [link, element("small", {}, problem || folder)],
      [element("span", { class: `status ${word === "searching" ? "busy" : problem ? "bad" : ""}` }, WORDS[word] || word)],
      isKnown ? progress(entry) : [format.MISSING],
      best ? [best.text, element("small", {}, `${best.label}, trial ${best.trial}`)] : [format.MISSING],
      [isKnown ? format.integer(front) : format.MISSING],
      isKnown ? [sparkline(entry.sparkline), element("span", {}, format.ratio(hypervolume))] : [format.MISSING],
      [ago(entry.changed)],
    ];
  }

  // Table -------------------------------------------------------------------------------------------------------------

  /** Rows by key; a live update changes cells in place and never the order, focus or scroll position. */
  class Table {
    constructor() {
      this.rows = new Map();
      this.body = element("tbody");
      this.node = element("table", { class: "studies" }, element("thead", {}, element("tr", {}, ...HEADINGS.map((text) => element("th", { scope: "col" }, text)))), this.body);
    }

    update(entries) {
      const keys = new Set(entries.map(({ key }) => key));
      for (const [key, { row }] of this.rows) {
        if (keys.has(key)) continue;
        row.remove();
        this.rows.delete(key);
      }
      const isFilled = this.rows.size > 0;
      for (const entry of isFilled ? entries : ordered(entries)) this.set(entry, isFilled);
    }

    /** Draw the row of `entry`. A row that is new in a table that `isFilled` comes first: its search has just begun. */
    set(entry, isFilled) {
      const text = JSON.stringify(entry), known = this.rows.get(entry.key);
      if (known && known.text === text) return;
      const row = known ? known.row : element("tr", { onclick: open });
      cells(entry).forEach((children, i) => {
        const hadFocus = row.children[i] && row.children[i].contains(document.activeElement);
        if (!row.children[i]) row.append(element("td", { "data-label": HEADINGS[i] }));
        row.children[i].replaceChildren(...children.filter((child) => child !== null));
        if (hadFocus) row.children[i].querySelector("a").focus();
      });
      row.dataset.filter = `${entry.name} ${entry.folder}`.toLowerCase();
      if (!known) this.body[isFilled ? "prepend" : "append"](row);
      this.rows.set(entry.key, { row, text });
    }

    /** Write how long ago the last results were, which changes by itself. */
    tell() {
      for (const { row, text } of this.rows.values()) row.lastChild.textContent = ago(JSON.parse(text).changed);
    }

    filter(text) {
      for (const { row } of this.rows.values()) row.hidden = !row.dataset.filter.includes(text.trim().toLowerCase());
    }
  }

  function open(event) {
    if (!event.target.closest("a") && !getSelection().toString()) event.currentTarget.querySelector("a").click();
  }

  /** Studies that run first, then by their last result. */
  function ordered(entries) {
    const rank = (entry) => entry.state === "searching" ? Infinity : entry.changed || 0;
    return [...entries].sort((a, b) => rank(b) - rank(a) || a.name.localeCompare(b.name, "en", { numeric: true }));
  }

  // Page --------------------------------------------------------------------------------------------------------------

  /** Show the list in `root`; returns a function that ends it. `missing` is the key of a study that is not among `entries`. */
  function show(root, { entries, from, tools, missing }) {
    const table = new Table(), empty = element("p", { class: "about" }, "There is no study here yet; one that starts appears here.");
    const connection = element("span", { id: "connection", role: "status" });
    const filter = element("input", { type: "search", placeholder: "Filter", "aria-label": "Filter studies", oninput: () => table.filter(filter.value) });
    const update = (current) => {
      table.update(current);
      table.filter(filter.value);
      empty.hidden = current.length > 0;
      table.node.hidden = current.length === 0;
      filter.hidden = current.length < FILTER_FROM;
    };
    const lost = missing ? element("p", { class: "warning", role: "alert" }, `There is no study ${missing} here; it may have been moved or removed.`) : null;
    document.title = "Studies";
    document.body.classList.remove("with-drawer");
    root.replaceChildren(
      element("header", { class: "studies-header" }, element("div", { class: "title" }, element("h1", {}, "Studies"), element("span", { class: "tools" }, connection, filter, tools)), element("div", { id: "warnings" }, lost)),
      element("main", {}, empty, element("div", { class: "scroll" }, table.node)),
    );
    update(entries);
    const unsubscribe = from.subscribeStudies({ studies: update, connection: (text) => { connection.textContent = text; } });
    const timer = setInterval(() => table.tell(), TELL_MS);
    return () => {
      clearInterval(timer);
      unsubscribe();
    };
  }

  return { show };
})();
