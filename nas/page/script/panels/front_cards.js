// The cards of "Which one should I take?" (`frontChoice`).

const frontCards = (() => {
  /** Fill `root`. Returns {update(rules, view)} with what `frontLimits.active` and `frontView.current` return. */
  function mount(root, page) {
    const list = element("ol", { class: "choices" }), message = element("p", { class: "about", role: "status" });
    root.append(element("h2", {}, "Which one should I take?"), message, list);
    let shown = "";

    function update(rules, view) {
      const { study } = page, within = study.counted.filter((trial) => frontLimits.allows(rules, trial));
      const cards = frontChoice.recommend(study, within, view.x.field);
      message.replaceChildren(...introduction(page, rules, cards, within.length));
      const signature = JSON.stringify([cards, page.selected, [...page.pins], study.writable]);
      if (signature === shown) return; // so that buttons keep the focus
      const focused = list.contains(document.activeElement) ? document.activeElement.dataset.action : null;
      shown = signature;
      list.replaceChildren(...cards.map((card) => cardNode(page, card)));
      const button = focused && [...list.querySelectorAll("button")].find(({ dataset }) => dataset.action === focused);
      if (button) button.focus();
    }

    return { update };
  }

  function introduction(page, rules, cards, count) {
    const { study } = page;
    if (!study.counted.length) return ["No trial is complete yet."];
    if (cards.length) return [rules.length ? `Of ${format.count(count, "trial")} within the limits:` : "Of all complete trials, without limits:"];
    const trial = frontChoice.nearest(study, study.counted, rules);
    if (trial < 0) return ["No trial is within these limits."];
    const values = rules.map(({ field }) => study.text(field.key, trial) + (field.unit ? "" : ` ${field.label}`)).join(", ");
    return [`No trial is within these limits; the nearest one is `, selectButton(page, trial, `trial ${trial}`), `: ${values}.`];
  }

  /** A reason; if the next one has the same words, only that one says them. */
  function reasonNode({ title, why, more }, i, reasons) {
    const isRepeated = i + 1 < reasons.length && reasons[i + 1].why === why;
    return element("div", { class: "reason" }, element("h3", {}, title), isRepeated ? null : element("p", { class: "why", title: more }, why));
  }

  const valueText = (field, value) => format.value(field, value) + (field.format === "si" && !field.unit ? ` ${field.label}` : "");

  const selectButton = (page, trial, text) => element("button", { type: "button", class: "link", "data-action": `select ${trial}`, "aria-current": page.selected === trial ? "true" : null, onclick: () => page.select(trial) }, text);

  function cardNode(page, { trial, reasons }) {
    const { study } = page, isSelected = page.selected === trial;
    const values = study.objectives.map(({ name }) => valueText(study.field(name), study.value(name, trial)));
    return element("li", { class: isSelected ? "choice selected" : "choice", "data-trial": trial },
      ...reasons.map(reasonNode),
      element("p", { class: "name" }, selectButton(page, trial, `trial ${trial}`), element("span", { class: "mixers", title: study.text("mixers", trial) }, study.text("mixers", trial)), pinButton(page, trial)),
      element("p", { class: "values" }, values.join(" · ")));
  }

  function pinButton(page, trial) {
    const isPinned = page.pins.has(trial);
    if (!page.study.writable) return isPinned ? element("span", { class: "pinned", role: "img", "aria-label": "pinned" }, "★") : null;
    const store = ({ currentTarget }) => dom.attempt(page.pin(trial, !isPinned), currentTarget, "Not pinned");
    const label = `Pin trial ${trial}`;
    return element("button", { type: "button", class: "star", "data-action": `pin ${trial}`, "aria-pressed": String(isPinned), "aria-label": label, title: label, onclick: store }, isPinned ? "★" : "☆");
  }

  return { mount };
})();
