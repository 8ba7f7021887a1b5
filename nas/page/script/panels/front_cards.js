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
      message.replaceChildren(...introduction(page, rules, cards));
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

  function introduction(page, rules, cards) {
    const { study } = page;
    if (!study.counted.length) return ["No trial is complete yet."];
    if (cards.length) return [rules.length ? `With ${rules.map(frontLimits.sentence).join(", ")}:` : "Without limits; set some to see what remains."];
    const trial = frontChoice.nearest(study, study.counted, rules);
    if (trial < 0) return ["No trial is within these limits."];
    const values = rules.map(({ field }) => study.text(field.key, trial) + (field.unit ? "" : ` ${field.label}`)).join(", ");
    return [`No trial is within these limits; the nearest one is `, selectButton(page, trial, `trial ${trial}`), `: ${values}.`];
  }

  const selectButton = (page, trial, text) => element("button", { type: "button", class: "link", "data-action": `select ${trial}`, onclick: () => page.select(trial) }, text);

  function cardNode(page, { trial, reasons }) {
    const { study } = page, isSelected = page.selected === trial;
    const fields = study.objectives.map(({ name }) => study.field(name));
    return element("li", { class: isSelected ? "choice selected" : "choice", "data-trial": trial },
      ...reasons.map(({ title, why }) => element("div", { class: "reason" }, element("h3", {}, title), element("p", { class: "why" }, why))),
      element("p", { class: "name" }, `trial ${trial} · ${study.text("mixers", trial)}`),
      element("dl", { class: "values" }, ...fields.flatMap((field) => [element("dt", {}, field.label), element("dd", {}, study.text(field.key, trial))])),
      element("div", { class: "buttons" },
        element("button", { type: "button", class: "quiet", "data-action": `select ${trial}`, "aria-pressed": String(isSelected), onclick: () => page.select(trial) }, "Select"),
        pinButton(page, trial)));
  }

  function pinButton(page, trial) {
    const isPinned = page.pins.has(trial);
    if (!page.study.writable) return isPinned ? element("span", { class: "pinned" }, "★ pinned") : null;
    const store = ({ currentTarget }) => dom.attempt(page.pin(trial, !isPinned), currentTarget, "Not pinned");
    return element("button", { type: "button", class: "quiet", "data-action": `pin ${trial}`, "aria-pressed": String(isPinned), onclick: store }, isPinned ? "★ Pinned" : "☆ Pin");
  }

  return { mount };
})();
