// The rows of panel "Table": of all trials, only those in view are in the document.

const tableRows = (() => {
  const ROW_PX = 30, MARGIN_ROWS = 10;

  /**
   * Fill `root` with the table. `handlers`: `cell(column, trial)` returns the nodes of a cell, `choose(trial)` a row was chosen,
   * `sort(name)` a heading was clicked. Returns {show({trials, columns, order, selected}, isData), cursorTo(trial)}.
   */
  function mount(root, handlers) {
    const head = element("thead"), body = element("tbody"), table = element("table", { role: "grid", class: "trials" }, head, body);
    const scroller = element("div", { class: "table-scroll", tabindex: 0, "aria-label": "Trials. Arrow keys move, Enter selects." }, table);
    root.append(scroller);
    let shown = { trials: [], columns: [], order: null, selected: null }, cursor = null, isDue = false;

    function show(next, isData) {
      const anchor = isData ? anchorOf() : null;
      const isReordered = !isData && (next.trials !== shown.trials);
      shown = next;
      drawHead();
      table.setAttribute("aria-rowcount", shown.trials.length + 1);
      draw();
      if (anchor) restore(anchor);
      else if (isReordered) scroller.scrollTop = 0;
      draw();
    }

    // A change of the data keeps the first visible trial where it is.

    function anchorOf() {
      const index = Math.floor(scroller.scrollTop / ROW_PX);
      return scroller.scrollTop === 0 || index >= shown.trials.length ? null : { trial: shown.trials[index], offset: scroller.scrollTop - index * ROW_PX };
    }

    function restore({ trial, offset }) {
      const index = shown.trials.indexOf(trial);
      if (index >= 0) scroller.scrollTop = index * ROW_PX + offset;
    }

    function drawHead() {
      const { columns, order } = shown;
      const signature = JSON.stringify([columns.map(({ name, title }) => [name, title]), order]);
      if (head.dataset.signature === signature) return;
      const focused = head.contains(document.activeElement) ? document.activeElement.dataset.name : null;
      head.dataset.signature = signature;
      table.style.width = `${columns.reduce((sum, { width }) => sum + width, 0)}px`;
      head.replaceChildren(element("tr", { "aria-rowindex": 1 }, ...columns.map((column) => heading(column, order))));
      if (focused) head.querySelector(`button[data-name="${CSS.escape(focused)}"]`)?.focus();
    }

    function heading(column, order) {
      const isSorted = order.name === column.name, direction = order.isDescending ? "descending" : "ascending";
      return element("th", { scope: "col", class: column.isNumber ? "number" : "", style: `width: ${column.width}px`, "aria-sort": isSorted ? direction : "none" },
        element("button", { type: "button", "data-name": column.name, title: column.label || column.title, "aria-label": column.label, onclick: () => handlers.sort(column) },
          column.title, isSorted ? element("span", { "aria-hidden": "true" }, order.isDescending ? " ▾" : " ▴") : null));
    }

    function draw() {
      const { trials, columns } = shown;
      if (body.querySelector("input")) return; // a note is being written
      const first = Math.max(0, Math.floor(scroller.scrollTop / ROW_PX) - MARGIN_ROWS);
      const last = Math.min(trials.length, first + Math.ceil(scroller.clientHeight / ROW_PX) + 2 * MARGIN_ROWS);
      const focused = body.contains(document.activeElement) ? document.activeElement.dataset.action : null;
      body.replaceChildren(spacer(first, columns), ...trials.slice(first, last).map((trial, i) => row(trial, first + i)), spacer(trials.length - last, columns));
      if (focused) body.querySelector(`[data-action="${CSS.escape(focused)}"]`)?.focus();
    }

    const spacer = (rows, columns) => element("tr", { "aria-hidden": "true", class: "spacer", style: `height: ${Math.max(0, rows) * ROW_PX}px` }, rows > 0 ? element("td", { colspan: columns.length }) : null);

    function row(trial, index) {
      const isSelected = trial === shown.selected;
      const node = element("tr", { id: `row-${trial}`, "data-trial": trial, "aria-rowindex": index + 2, "aria-selected": String(isSelected), class: [isSelected ? "selected" : "", trial === cursor ? "cursor" : ""].join(" ") });
      node.append(...shown.columns.map((column) => element("td", { class: column.isNumber ? "number" : "" }, ...handlers.cell(column, trial))));
      return node;
    }

    function scheduleDraw() {
      if (!isDue) requestAnimationFrame(() => { isDue = false; draw(); });
      isDue = true;
    }

    function cursorTo(trial) {
      cursor = trial;
      const index = shown.trials.indexOf(trial);
      if (index < 0) return;
      const top = index * ROW_PX, room = scroller.clientHeight - head.offsetHeight - ROW_PX;
      if (top < scroller.scrollTop) scroller.scrollTop = top;
      else if (top > scroller.scrollTop + room) scroller.scrollTop = top - room;
      draw();
      scroller.setAttribute("aria-activedescendant", `row-${trial}`);
    }

    function move(event) {
      if (event.target !== scroller) return;
      if (event.key === "Enter" && cursor !== null) handlers.choose(cursor);
      const page = Math.floor(scroller.clientHeight / ROW_PX) - 1, last = shown.trials.length - 1;
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -last, End: last };
      if (!(event.key in steps) || last < 0) return;
      event.preventDefault();
      const at = shown.trials.indexOf(cursor ?? shown.selected);
      cursorTo(shown.trials[at < 0 ? 0 : Math.min(last, Math.max(0, at + steps[event.key]))]);
    }

    scroller.addEventListener("scroll", scheduleDraw, { passive: true });
    scroller.addEventListener("keydown", move);
    new ResizeObserver(scheduleDraw).observe(scroller);
    body.addEventListener("click", (event) => {
      const target = event.target.closest("tr[data-trial]");
      if (!target || event.target.closest("button, input")) return;
      cursor = Number(target.dataset.trial);
      handlers.choose(cursor);
    });

    return { show, draw };
  }

  return { mount };
})();
