// Panel "Table": all trials with any of their values; sorted, filtered by an expression, and saved as a file.

definePanel({
  id: "table",
  title: "Table",
  order: 6,
  showsOpen: true,
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
    const rows = new tableRows.Rows(rowsRoot, {
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
