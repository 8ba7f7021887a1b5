// The list of limits beside the front: for each value a slider and a text field, which also takes "50 M", "2k" or ">= .9".

const frontLimitList = (() => {
  /**
   * Fill `root` with the list. `onDraft(limits)` is called while a slider moves, with the limits as they would be; the address
   * changes when it is released. Returns {update(limits, summary)}.
   */
  function mount(root, view, onDraft) {
    const rows = new Map(), list = element("div", { class: "limit-rows" });
    const summary = element("p", { class: "about", role: "status" });
    const clear = element("button", { type: "button", class: "quiet", onclick: frontLimits.clear }, "Remove all limits");
    const add = element("div", { class: "limit-add" });
    root.append(element("h2", {}, "Limits"), summary, list, add, clear);
    let offered = "";

    function offerFields(limits) {
      const fields = frontView.axisFields(view.study).filter(({ key, kind }) => kind === "number" && !limits.has(key));
      const signature = fields.map(({ key }) => key).join();
      if (signature === offered) return;
      offered = signature;
      const options = [["", "Limit another value …"], ...frontView.options(fields)];
      add.replaceChildren(dom.select("Limit another value", options, "", (key) => key && frontLimits.store(key, { atLeast: null, atMost: null }, true)));
    }

    function update(limits, text) {
      for (const [key, row] of rows) if (!limits.has(key)) { row.node.remove(); rows.delete(key); }
      for (const [key, bounds] of limits) {
        if (!rows.has(key)) {
          rows.set(key, createRow(view, key, onDraft));
          list.append(rows.get(key).node);
        }
        rows.get(key).update(bounds);
      }
      offerFields(limits);
      summary.textContent = text;
      clear.hidden = !state.names("limit.").length;
    }

    return { update };
  }

  /** A row: {node, update(bounds)}. */
  function createRow(view, key, onDraft) {
    const field = view.study.field(key), isListed = !view.study.objectives.some(({ name }) => name === key);
    const parts = rowParts(field, `limit-${key}`, isListed), { word, input, slider, error } = parts;
    let side = frontLimits.sense(field);

    input.addEventListener("change", () => {
      try {
        error.textContent = "";
        frontLimits.store(key, frontLimits.parsed(field, input.value), isListed);
      } catch (problem) {
        error.textContent = problem.message;
      }
      input.setAttribute("aria-invalid", String(error.textContent !== ""));
    });
    slider.addEventListener("input", () => onDraft(key, fromSlider()));
    slider.addEventListener("change", () => frontLimits.store(key, fromSlider(), isListed));

    /** The loose end of the slider is no limit. */
    function fromSlider() {
      const position = Number(slider.value), value = position === looseEnd(side) ? null : frontLimits.scale(view.study, field).value(position);
      return { atLeast: null, atMost: null, [side]: value };
    }

    function update(bounds) {
      if (frontLimits.isSet(bounds)) side = bounds.atLeast === null ? "atMost" : "atLeast";
      const value = bounds[side], scale = frontLimits.scale(view.study, field), active = document.activeElement;
      word.textContent = side === "atLeast" ? "at least" : "at most";
      if (active !== input && !error.textContent) input.value = value === null ? "" : exactText(field, value);
      slider.disabled = scale.isEmpty;
      if (active !== slider || value === null) slider.value = value === null || scale.isEmpty ? looseEnd(side) : scale.position(value);
      slider.setAttribute("aria-valuetext", value === null ? "no limit" : `${word.textContent} ${format.value(field, value)}`);
      parts.node.classList.toggle("set", value !== null);
    }

    parts.node.append(...studyLimit(view.study, key));
    return { node: parts.node, update };
  }

  const looseEnd = (side) => side === "atLeast" ? 0 : frontLimits.STEPS;

  /** The elements of a row; `isListed` rows were added by a person, who can remove them. */
  function rowParts(field, id, isListed) {
    const error = element("small", { class: "error", id: `${id}-error`, role: "alert" }), word = element("span", {});
    const input = element("input", { type: "text", id, size: 9, spellcheck: "false", autocomplete: "off", placeholder: "no limit", "aria-describedby": error.id });
    const slider = element("input", { type: "range", min: 0, max: frontLimits.STEPS, "aria-label": `Limit of ${field.label}` });
    const forget = () => frontLimits.store(field.key, { atLeast: null, atMost: null }, false);
    const remove = isListed ? element("button", { type: "button", class: "quiet icon", "aria-label": `Remove the limit of ${field.label}`, onclick: forget }, "×") : null;
    const node = element("div", { class: "limit", "data-key": field.key },
      element("label", { for: id, class: "limit-name" }, field.label), remove,
      element("div", { class: "limit-text" }, word, input, element("span", { class: "unit" }, field.unit)), slider, error);
    return { node, word, input, slider, error };
  }

  /** A text that `frontLimits.parsed` reads as `value` again. */
  function exactText(field, value) {
    const text = field.format === "si" ? format.brief(value) : String(value);
    return format.parsed(text) === value ? text : String(value);
  }

  /** A line about the study's own limit, if there is one. */
  function studyLimit(study, key) {
    const objective = study.objectives.find(({ name }) => name === key);
    if (!objective || objective.limit === null || objective.limit === undefined) return [];
    const word = objective.direction === "maximize" ? "at least" : "at most";
    return [element("small", {}, `the study's own limit: ${word} ${format.value(study.field(key), objective.limit)}`)];
  }

  return { mount };
})();
