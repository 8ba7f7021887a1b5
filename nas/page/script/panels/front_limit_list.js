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
      const options = [["", "choose a value …"], ...frontView.options(fields)];
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

  const isObjective = (study, key) => study.objectives.some(({ name }) => name === key);

  function createRow(view, key, onDraft) {
    const field = view.study.field(key), id = `limit-${key}`, isFixed = isObjective(view.study, key);
    const error = element("small", { class: "error", id: `${id}-error`, role: "alert" });
    const word = element("span", {});
    const input = element("input", { type: "text", id, size: 9, inputmode: "text", spellcheck: "false", autocomplete: "off", placeholder: "no limit", "aria-describedby": error.id });
    const slider = element("input", { type: "range", min: 0, max: frontLimits.STEPS, "aria-label": `Limit of ${field.label}` });
    const remove = isFixed ? null : element("button", { type: "button", class: "quiet icon", "aria-label": `Remove the limit of ${field.label}`, onclick: () => frontLimits.store(key, { atLeast: null, atMost: null }, false) }, "×");
    const node = element("div", { class: "limit", "data-key": key },
      element("label", { for: id, class: "limit-name" }, field.label), remove,
      element("div", { class: "limit-text" }, word, input, element("span", { class: "unit" }, field.unit)), slider, error, studyLimit(view.study, key));

    input.addEventListener("change", () => {
      try {
        error.textContent = "";
        frontLimits.store(key, frontLimits.parsed(field, input.value), !isFixed);
      } catch (problem) {
        error.textContent = problem.message;
      }
      input.setAttribute("aria-invalid", String(error.textContent !== ""));
    });
    slider.addEventListener("input", () => onDraft(key, fromSlider()));
    slider.addEventListener("change", () => frontLimits.store(key, fromSlider(), !isFixed));

    let side = frontLimits.sense(field);

    /** The loose end of the slider is no limit. */
    function fromSlider() {
      const position = Number(slider.value), loose = side === "atLeast" ? 0 : frontLimits.STEPS;
      const value = position === loose ? null : frontLimits.scale(view.study, field).value(position);
      return { atLeast: null, atMost: null, [side]: value };
    }

    function update(bounds) {
      if (frontLimits.isSet(bounds)) side = bounds.atLeast === null ? "atMost" : "atLeast";
      const value = bounds[side], scale = frontLimits.scale(view.study, field);
      word.textContent = side === "atLeast" ? "at least" : "at most";
      if (document.activeElement !== input && !error.textContent) input.value = value === null ? "" : exactText(field, value);
      slider.disabled = scale.isEmpty;
      if (document.activeElement !== slider || value === null)
        slider.value = value === null || scale.isEmpty ? (side === "atLeast" ? 0 : frontLimits.STEPS) : scale.position(value);
      slider.setAttribute("aria-valuetext", value === null ? "no limit" : `${word.textContent} ${format.value(field, value)}`);
      node.classList.toggle("set", value !== null);
    }

    return { node, update };
  }

  /** A text that `frontLimits.parsed` reads as `value` again. */
  function exactText(field, value) {
    const text = field.format === "si" ? format.brief(value) : String(value);
    return format.parsed(text) === value ? text : String(value);
  }

  function studyLimit(study, key) {
    const objective = study.objectives.find(({ name }) => name === key);
    if (!objective || objective.limit === null || objective.limit === undefined) return null;
    const word = objective.direction === "maximize" ? "at least" : "at most";
    return element("small", {}, `the study's own limit: ${word} ${format.value(study.field(key), objective.limit)}`);
  }

  return { mount };
})();
