// The controls of panel "Front": axes, scales, colour, symbol, and what else is shown.

const frontControls = (() => {
  const SWITCHES = [["expected", expected.NAME], ["errors", "error bars"], ["references", "reference marks"]];

  /** Fill `root`; `onzoom(part)` is called with "front" or "all". Returns {update(view, points)}. */
  function mount(root, page, onzoom) {
    const zoomButtons = element("div", { class: "zoom", role: "group", "aria-label": "Zoom" },
      element("button", { type: "button", class: "quiet", onclick: () => onzoom("front") }, "Zoom to the front"),
      element("button", { type: "button", class: "quiet", onclick: () => onzoom("all") }, "Zoom to all"));
    const choices = element("div", { class: "controls" }), shows = element("fieldset", { class: "shows" });
    root.append(choices, shows, zoomButtons);
    const selects = new Map(), boxes = new Map();
    let offered = "";

    function build(study) {
      const axes = frontView.options(frontView.axisFields(study)), none = ["none", "none"];
      const choose = (name) => (value) => state.set({ [name]: value });
      const add = (name, label, options) => {
        const node = dom.select(label, options, "", choose(name), { "data-name": name });
        selects.set(name, node.querySelector("select"));
        return node;
      };
      const scale = (name) => {
        const box = element("input", { type: "checkbox", "aria-label": `logarithmic ${name} axis`, onchange: () => state.set({ [`${name}.log`]: box.checked ? "1" : "0" }) });
        boxes.set(`${name}.log`, box);
        return element("label", { class: "control check" }, box, "log");
      };
      const group = (name, label, options) => element("div", { class: "axis-control" }, add(name, label, options), scale(name));
      choices.replaceChildren(
        group("x", "Horizontal axis", axes), group("y", "Vertical axis", axes), ...(plot.hasWebgl() ? [group("z", "Third axis", [none, ...axes])] : []),
        add("colour", "Colour", [none, ...frontView.options(frontView.codingFields(study))]),
        add("symbol", "Symbol", [none, ...frontView.options(frontCoding.symbolFields(study))]),
      );
    }

    function update(view, points) {
      const signature = [...page.study.fields.keys()].join();
      if (signature !== offered) build(page.study);
      offered = signature;
      for (const name of ["x", "y", "z"]) {
        const axis = view[name], box = boxes.get(`${name}.log`);
        if (selects.has(name)) selects.get(name).value = axis ? axis.field.key : "none";
        if (box) Object.assign(box, { checked: axis !== null && axis.log, disabled: axis === null });
      }
      zoomButtons.hidden = view.z !== null;
      selects.get("colour").value = view.colour || "none";
      selects.get("symbol").value = view.symbol || "none";
      updateShows(view, points);
    }

    function updateShows(view, points) {
      const entries = frontView.KINDS.map(([kind, label]) => ({ name: kind, label: `${label} (${format.integer(points.kinds[kind].count)})`, isOn: view.kinds.has(kind), isOffered: points.kinds[kind].count > 0 || view.kinds.has(kind) }));
      const switches = SWITCHES.map(([name, label]) => ({ name, label, isOn: view[name], isOffered: isUseful(page.study, name) }));
      if (!shows.children.length) shows.append(element("legend", {}, "Show"), ...[...entries, ...switches].map(({ name }) => showBox(name)));
      for (const { name, label, isOn, isOffered } of [...entries, ...switches]) {
        const box = boxes.get(name);
        box.checked = isOn;
        box.nextSibling.textContent = label;
        box.parentElement.hidden = !isOffered;
      }
    }

    function showBox(name) {
      const isSwitch = SWITCHES.some(([other]) => other === name);
      const box = element("input", { type: "checkbox", "data-show": name, onchange: () => isSwitch ? state.set({ [name]: box.checked ? null : "0" }) : toggleKind(name, box.checked) });
      boxes.set(name, box);
      return element("label", { class: "control check" }, box, element("span", {}));
    }

    return { update };
  }

  function toggleKind(kind, isShown) {
    const kinds = new Set(state.get("show", "").split(",").filter(Boolean));
    if (isShown) kinds.add(kind);
    else kinds.delete(kind);
    state.set({ show: [...kinds].join() });
  }

  function isUseful(study, name) {
    if (name === "references") return (study.references || []).length > 0;
    if (name === "expected") return expected.of(study) !== null;
    if (name === "errors" && expected.of(study)) return true;
    return Boolean(study.noise && study.noise.accuracy) || [...study.fields.keys()].some((key) => key.endsWith("_low"));
  }

  return { mount };
})();
