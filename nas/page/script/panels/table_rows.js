// The rows of panel "Table": of all trials, only those in view are in the document.

const tableRows = (() => {
  const ROW_PX = 30, MARGIN_ROWS = 10;

  /**
   * The table. `handlers`: `cell(column, trial)` returns the nodes of a cell, `choose(trial)` is called when a row is chosen,
   * `sort(column)` when a heading is clicked.
   */
  class Rows {
    constructor(root, handlers) {
      this.handlers = handlers;
      this.shown = { trials: [], columns: [], order: null, selected: null };
      this.cursor = null; // the trial that the arrow keys are at
      this.isDue = false; // whether the rows are drawn at the next frame
      this.head = element("thead");
      this.body = element("tbody", { onclick: (event) => this.click(event) });
      this.table = element("table", { role: "grid", class: "trials" }, this.head, this.body);
      this.scroller = element("div", { class: "table-scroll", tabindex: 0, "aria-label": "Trials. Arrow keys move, Enter selects.", onkeydown: (event) => this.press(event) }, this.table);
      this.scroller.addEventListener("scroll", () => this.schedule(), { passive: true });
      new ResizeObserver(() => this.schedule()).observe(this.scroller);
      root.append(this.scroller);
    }

    /** Show {trials, columns, order, selected}; `isData` if only the data changed, so that the rows in view stay where they are. */
    show(next, isData) {
      const anchor = isData ? this.anchor() : null, isReordered = !isData && next.trials !== this.shown.trials;
      this.shown = next;
      this.drawHead();
      this.table.setAttribute("aria-rowcount", next.trials.length + 1);
      this.draw();
      if (anchor) this.restore(anchor);
      else if (isReordered) this.scroller.scrollTop = 0;
      if (anchor || isReordered) this.draw();
    }

    /** The first trial in view, and how far it is scrolled out; null at the top. */
    anchor() {
      const { scrollTop } = this.scroller, index = Math.floor(scrollTop / ROW_PX);
      return scrollTop === 0 || index >= this.shown.trials.length ? null : { trial: this.shown.trials[index], offset: scrollTop - index * ROW_PX };
    }

    restore({ trial, offset }) {
      const index = this.shown.trials.indexOf(trial);
      if (index >= 0) this.scroller.scrollTop = index * ROW_PX + offset;
    }

    drawHead() {
      const { columns, order } = this.shown, signature = JSON.stringify([columns.map(({ name, title }) => [name, title]), order]);
      if (this.head.dataset.signature === signature) return; // so that a heading keeps the focus
      const focused = focusIn(this.head, "name");
      this.head.dataset.signature = signature;
      this.table.style.width = `${columns.reduce((sum, { width }) => sum + width, 0)}px`;
      this.head.replaceChildren(element("tr", { "aria-rowindex": 1 }, ...columns.map((column) => this.heading(column, order))));
      focused();
    }

    heading(column, order) {
      const isSorted = order.name === column.name, direction = order.isDescending ? "descending" : "ascending";
      return element("th", { scope: "col", class: column.isNumber ? "number" : "", style: `width: ${column.width}px`, "aria-sort": isSorted ? direction : "none" },
        element("button", { type: "button", "data-name": column.name, title: column.label || column.title, "aria-label": column.label, onclick: () => this.handlers.sort(column) },
          column.title, isSorted ? element("span", { "aria-hidden": "true" }, order.isDescending ? " ▾" : " ▴") : null));
    }

    /** Draw the rows in view, unless a note is being written in one. */
    draw() {
      if (this.body.querySelector("input")) return;
      const { trials } = this.shown, { scrollTop, clientHeight } = this.scroller;
      const first = Math.max(0, Math.floor(scrollTop / ROW_PX) - MARGIN_ROWS);
      const last = Math.min(trials.length, first + Math.ceil(clientHeight / ROW_PX) + 2 * MARGIN_ROWS);
      const focused = focusIn(this.body, "action");
      this.body.replaceChildren(this.spacer(first), ...trials.slice(first, last).map((trial, i) => this.row(trial, first + i)), this.spacer(trials.length - last));
      focused();
    }

    /** A row in place of `count` rows out of view. */
    spacer(count) {
      const cell = count > 0 ? element("td", { colspan: this.shown.columns.length }) : null;
      return element("tr", { "aria-hidden": "true", class: "spacer", style: `height: ${Math.max(0, count) * ROW_PX}px` }, cell);
    }

    row(trial, index) {
      const isSelected = trial === this.shown.selected, names = [isSelected ? "selected" : "", trial === this.cursor ? "cursor" : ""];
      const cells = this.shown.columns.map((column) => element("td", { class: column.isNumber ? "number" : "" }, ...this.handlers.cell(column, trial)));
      return element("tr", { id: `row-${trial}`, "data-trial": trial, "aria-rowindex": index + 2, "aria-selected": String(isSelected), class: names.join(" ") }, ...cells);
    }

    schedule() {
      if (!this.isDue) requestAnimationFrame(() => { this.isDue = false; this.draw(); });
      this.isDue = true;
    }

    /** Move the cursor to the row at `index`, and scroll until it is in view. */
    moveTo(index) {
      this.cursor = this.shown.trials[index];
      const top = index * ROW_PX, room = this.scroller.clientHeight - this.head.offsetHeight - ROW_PX;
      if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
      else if (top > this.scroller.scrollTop + room) this.scroller.scrollTop = top - room;
      this.draw();
      this.scroller.setAttribute("aria-activedescendant", `row-${this.cursor}`);
    }

    press(event) {
      if (event.target !== this.scroller) return;
      if (event.key === "Enter" && this.cursor !== null) this.handlers.choose(this.cursor);
      const { trials, selected } = this.shown, page = Math.floor(this.scroller.clientHeight / ROW_PX) - 1, last = trials.length - 1;
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -last, End: last };
      if (!(event.key in steps) || last < 0) return;
      event.preventDefault();
      const at = trials.indexOf(this.cursor ?? selected);
      this.moveTo(at < 0 ? 0 : Math.min(last, Math.max(0, at + steps[event.key])));
    }

    click({ target }) {
      const row = target.closest("tr[data-trial]");
      if (!row || target.closest("button, input")) return;
      this.cursor = Number(row.dataset.trial);
      this.handlers.choose(this.cursor);
    }
  }

  /** Remember which child of `root` has the focus, by its data `name`; returns the function that gives it back. */
  function focusIn(root, name) {
    const value = root.contains(document.activeElement) ? document.activeElement.dataset[name] : undefined;
    return () => value !== undefined && root.querySelector(`[data-${name}="${CSS.escape(value)}"]`)?.focus({ preventScroll: true });
  }

  return { Rows };
})();
