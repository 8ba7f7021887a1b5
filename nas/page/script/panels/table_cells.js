// The cells of panel "Table": texts, the star of a pin, and notes; both can be changed where a server stores them.

const tableCells = (() => {
  /** The nodes of a cell; `store(promise)` waits for what was sent to a server. */
  function nodes(page, column, trial, store) {
    if (column.name === "pinned" && page.study.writable) return [star(page, trial, store)];
    if (column.name === "note" && page.study.writable) return [column.text(trial), editButton(page, trial, store)];
    const text = column.text(trial);
    return [column.isNumber || !text ? text : element("span", { title: text }, text)];
  }

  function star(page, trial, store) {
    const isPinned = page.pins.has(trial), label = `Pin trial ${trial}`;
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
