// Panel "Health": is the search still improving, can its numbers be trusted, is time wasted?

definePanel({
  id: "health",
  title: "Health",
  order: 5,
  mount(root, view) {
    const parts = [healthCards, driverTable, losses, predictions].map((part, i) => ({ part, root: element("section", { class: i ? "panel-part" : null }) }));
    root.append(...parts.map((entry) => entry.root));
    const handles = parts.map((entry) => entry.part.mount(entry.root, view));
    return { update: (reason) => { for (const handle of handles) handle.update(reason); } };
  },
});
