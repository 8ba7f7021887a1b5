// Panel "Space": what the front prefers, what matters, and what was never tried.

definePanel({
  id: "space",
  title: "Space",
  order: 3,
  mount(root, view) {
    const words = element("p", { class: "about" }), main = element("div", { class: "preference-maps" }), others = element("div", { class: "preference-maps" });
    const scale = preferenceMap.scale(), numbers = element("div", { class: "scroll" });
    const fold = (title, ...content) => element("details", {}, element("summary", {}, title), ...content);
    const more = fold("Other parameters", others), table = fold("All odds ratios as a table", numbers);
    const parts = [mixerShare, parallel, importanceBars, untried].map((part) => ({ part, root: element("section", { class: "panel-part" }) }));
    root.append(element("h2", {}, "What the front prefers"), words, scale, main, more, table, ...parts.map((entry) => entry.root));
    for (const entry of parts) entry.handle = entry.part.mount(entry.root, view);

    let shown = "";

    function drawMaps() {
      const groups = preferences.groups(view.study), hasTrials = groups.length > 0, text = JSON.stringify(groups);
      if (text === shown) return;
      shown = text;
      words.textContent = hasTrials
        ? "How much higher the odds of a value are on the front than in the other complete trials; below it, how many trials on the front and how many complete trials have it. Bold: the 95 % interval excludes 1. Trials of a search are not independent, so take it for a hint."
        : "No complete trial has made a choice yet.";
      preferenceMap.draw(main, groups.filter(({ isMain }) => isMain));
      preferenceMap.draw(others, groups.filter(({ isMain }) => !isMain));
      numbers.replaceChildren(preferenceMap.table(groups));
      more.hidden = !others.childElementCount;
      table.hidden = scale.hidden = !hasTrials;
    }

    function update(reason) {
      if (reason.data) drawMaps();
      for (const { handle } of parts) handle.update(reason);
    }

    return { update };
  },
});
