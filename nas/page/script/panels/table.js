// Panel "Table": all trials with any of their values; sorted, filtered by an expression, and saved as a file.

definePanel({
  id: "table",
  title: "Table",
  order: 7,
  mount(root, page) {
    const bar = element("div", { class: "table-bar" }), rowsRoot = element("div");
    root.classList.add("table-panel");
    const notice = element("p", { class: "filter-error", role: "alert", hidden: true });
    root.append(bar, notice, rowsRoot);

    /** Store a note or a pin; a failure is told above the rows. */
    function store(promise) {
      notice.hidden = true;
      dom.attempt(promise, notice, "Not stored");
    }

    let columns = new Map(), trials = [], test = () => true, known = "";

    const filter = tableFilterBar.mount(bar, page, { columns: () => tableColumns.chosen(columns, page.study).map(({ name }) => name), allColumns: () => columns, trials: () => trials });
    const rows = tableRows.mount(rowsRoot, {
      cell: (column, trial) => tableCells.nodes(page, column, trial, store),
      choose: page.select,
      sort: ({ name, isBestFirst }) => {
        const order = tableColumns.order(columns), isSame = order.name === name;
        state.set({ sort: (isSame ? !order.isDescending : Boolean(isBestFirst)) ? `-${name}` : name });
      },
    });

    /** The trials that pass the filter, in order; made anew only if something changed. */
    function updateTrials(reason) {
      const { study } = page, signature = [study.revision, state.get("filter", ""), state.get("sort", ""), study.searching, [...page.pins]].join("\n");
      if (signature === known) return false;
      const isData = reason.data && known.split("\n").slice(1, 3).join() === signature.split("\n").slice(1, 3).join();
      known = signature;
      columns = tableColumns.all(study, page);
      test = filter.test(test);
      trials = tableColumns.sort(Array.from({ length: study.count }, (_, i) => i).filter(test), columns);
      return isData;
    }

    function update(reason) {
      const isData = updateTrials(reason);
      filter.update(trials.length);
      rows.show({ trials, columns: tableColumns.chosen(columns, page.study), order: tableColumns.order(columns), selected: page.selected }, isData);
    }

    return { update };
  },
});

// Cells: texts, the star of a pin, and notes; both can be changed where a server stores them.

const tableCells = (() => {
  /** The nodes of a cell; `store(promise)` waits for what was sent to a server. */
  function nodes(page, column, trial, store) {
    if (column.name === "pinned" && page.study.writable) return [star(page, trial, store)];
    if (column.name === "note" && page.study.writable) return [column.text(trial), editButton(page, trial, store)];
    const text = column.text(trial);
    return [column.isNumber || !text ? text : element("span", { title: text }, text)];
  }

  function star(page, trial, store) {
    const isPinned = page.pins.has(trial), label = `${isPinned ? "Unpin" : "Pin"} trial ${trial}`;
    return element("button", { type: "button", class: "star", "data-action": `pin ${trial}`, "aria-label": label, "aria-pressed": String(isPinned), onclick: () => store(page.pin(trial, !isPinned)) }, isPinned ? "★" : "☆");
  }

  function editButton(page, trial, store) {
    const button = element("button", { type: "button", class: "star", "data-action": `note ${trial}`, "aria-label": `Note on trial ${trial}` }, "✎");
    button.addEventListener("click", () => edit(page, trial, button.parentElement, store));
    return button;
  }

  function edit(page, trial, cell, store) {
    const input = element("input", { type: "text", "aria-label": `Note on trial ${trial}`, value: (page.study.notes || {})[trial] || "" });
    const before = [...cell.childNodes], noted = input.value;
    let isOpen = true;
    const close = (isStored) => {
      if (!isOpen) return;
      isOpen = false;
      const text = input.value.trim();
      cell.replaceChildren(...before);
      if (isStored && text !== noted) store(page.source.setNote(page.study.key, trial, text));
    };
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === "Escape") close(event.key === "Enter");
    });
    input.addEventListener("blur", () => close(true));
    cell.replaceChildren(input);
    input.focus();
  }

  return { nodes };
})();
