// Above the table: the filter with its mistakes and its help, the choice of columns, the count, and files to save.

const tableFilterBar = (() => {
  const WRITE_DELAY_MS = 150;
  const EXAMPLES = ["accuracy > .9 and macs < 5 M", "state == failed", "mixer in (conv, pool)", "on_front or pinned", "not (blocks > 4)", "failure ~ memory", "global_filter"];

  /** Fill `root`. `table`: {columns(): names shown, allColumns(): Map, trials(): numbers shown}. Returns {test(fallback), update(count)}. */
  function mount(root, page, table) {
    const input = element("input", { type: "search", id: "filter", spellcheck: "false", autocomplete: "off", placeholder: "accuracy > .9 and macs < 5 M", "aria-describedby": "filter-error" });
    const error = element("p", { id: "filter-error", class: "filter-error", role: "alert", hidden: true });
    const count = element("span", { class: "count", role: "status" });
    const columns = element("details", { class: "menu" }, element("summary", {}, "Columns"), element("div", { class: "menu-body" }));
    const help = element("details", { class: "filter-help" }, element("summary", {}, "How to filter"), element("div", {}));
    const save = (extension, type, make) => element("button", { type: "button", class: "quiet", onclick: () => dom.download(`${fileName(page.study.name)}.${extension}`, make(page.study, page, table.trials()), type) }, extension.toUpperCase());
    root.append(
      element("div", { class: "filter-line" }, element("label", { for: "filter" }, "Filter"), input, count, columns,
        element("span", { class: "save", role: "group", "aria-label": "Save what is shown" }, save("csv", "text/csv", tableExport.csv), save("json", "application/json", tableExport.json))),
      error, help);

    let timer = 0;
    input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => state.set({ filter: input.value }), WRITE_DELAY_MS);
    });
    help.addEventListener("toggle", () => help.open && help.lastChild.replaceChildren(...helpNodes(page)));
    columns.addEventListener("toggle", () => columns.open && columns.lastChild.replaceChildren(...columnBoxes(page, table)));
    columns.addEventListener("keydown", (event) => { if (event.key === "Escape") columns.open = false; });

    /** The test of the filter; `fallback` while the filter has a mistake, which is shown. */
    function test(fallback) {
      const source = state.get("filter", "");
      try {
        const parsed = tableFilter.parse(source, page.study, page);
        error.hidden = true;
        input.setAttribute("aria-invalid", "false");
        return parsed;
      } catch (problem) {
        if (!(problem instanceof tableFilter.FilterError)) throw problem;
        error.hidden = false;
        error.replaceChildren(...mistake(source, problem));
        input.setAttribute("aria-invalid", "true");
        return fallback;
      }
    }

    function update(number) {
      if (document.activeElement !== input) input.value = state.get("filter", "");
      count.textContent = `${format.integer(number)} of ${format.count(page.study.count, "trial")}`;
    }

    return { test, update };
  }

  /** The message, and the filter with the place marked. */
  function mistake(source, { message, start, end }) {
    return [`${format.capitalised(message)}${message.endsWith("?") ? "" : ":"} `, element("code", {}, source.slice(0, start), element("mark", {}, source.slice(start, end) || "…"), source.slice(end))];
  }

  const fileName = (name) => name.replace(/[^\w.-]+/g, "_") || "study";

  function helpNodes(page) {
    const use = (text) => () => state.set({ filter: text });
    const { study } = page, fields = tableFilter.fieldsOf(study, page);
    const labels = new Map([...study.fields.values()].map((field) => [tableFilter.nameOf(field).toLowerCase(), format.heading(field)]));
    return [
      element("p", {}, "Compare fields by <, <=, >, >=, == and !=, texts also by ~ (contains) and !~, or by in (a, b); join by and, or, not and parentheses. Numbers may end in k, M or G. Words without an operator are searched in all texts. A comparison with a missing value is false."),
      element("p", { class: "examples" }, ...EXAMPLES.map((text) => element("button", { type: "button", class: "link", onclick: use(text) }, text))),
      element("ul", { class: "fields" }, ...[...fields].map(([name, { kind }]) => element("li", {}, element("code", {}, name), ` ${labels.has(name) && labels.get(name) !== name ? labels.get(name) : { number: "number", text: "text", bool: "yes or no" }[kind]}`))),
    ];
  }

  function columnBoxes(page, table) {
    const chosen = table.columns();
    const toggle = (name, isShown) => tableColumns.choose(isShown ? [...table.columns(), name] : table.columns().filter((other) => other !== name));
    const boxes = [...table.allColumns().values()].map(({ name, title, label }) => {
      const box = element("input", { type: "checkbox", checked: chosen.includes(name), "data-column": name, onchange: () => toggle(name, box.checked) });
      return element("label", { class: "control check" }, box, label || title);
    });
    const reset = element("button", { type: "button", class: "quiet", onclick: () => { tableColumns.choose([]); for (const box of boxes) box.firstChild.checked = tableColumns.standard(page.study).includes(box.firstChild.dataset.column); } }, "Standard columns");
    return [reset, ...boxes];
  }

  return { mount };
})();
