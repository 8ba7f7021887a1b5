// Panel "Compare": two to four trials side by side, and several studies on one front.

definePanel({
  id: "compare",
  title: "Compare",
  order: 4,
  showsOpen: true,
  mount(root, view) {
    const details = new Map(); // trial -> {stamp, detail}
    const loaded = new Map(); // key of another study -> Promise of the study
    let drawnNetworks = ""; // what the drawings show

    const tableBox = element("div", { class: "scroll" }), networksBox = element("div", { class: "compared-networks" }), curvesBox = element("div", { class: "compared-curves" });
    const picker = element("div", { class: "controls" }), studiesBox = element("div");
    const figure = element("div", { class: "figure" }), studyTable = element("div", { class: "scroll" }), studyPicker = element("div", { class: "controls" }), studyNote = element("p", { class: "about", role: "status" });
    root.append(element("h2", {}, "Trials"), picker, element("div", { class: "compared" }, tableBox, curvesBox), networksBox, studiesBox);

    // Trials ------------------------------------------------------------------------------------------------------------

    const trials = () => comparedTrials.list(view);
    const remove = (trial) => comparedTrials.toggle(view, trial);

    function addButton(label, trial) {
      const isThere = trial === null || trial < 0 || trials().includes(trial);
      return isThere ? null : element("button", { type: "button", class: "quiet", onclick: () => comparedTrials.toggle(view, trial) }, label);
    }

    function addByNumber() {
      const input = element("input", { type: "number", min: 0, max: view.study.count - 1, step: 1, "aria-label": "Number of a trial to compare", placeholder: "number", class: "trial-number" });
      const form = element("form", { class: "control" }, element("span", {}, "Add trial"), input);
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        const trial = Number(input.value);
        if (input.value !== "" && input.checkValidity() && !trials().includes(trial)) comparedTrials.toggle(view, trial);
      });
      return form;
    }

    function drawPicker() {
      if (picker.contains(document.activeElement) && document.activeElement.value) return;
      const { study, selected } = view, showsAll = view.state.get("choices") === "all";
      const all = element("input", { type: "checkbox", checked: showsAll, onchange: () => view.state.set({ choices: showsAll ? null : "all" }) });
      const buttons = [addButton(`Add trial ${selected}`, selected), addButton(`Add the best (trial ${study.best})`, study.best === selected ? null : study.best)];
      picker.replaceChildren(...[addByNumber(), ...buttons, element("label", { class: "check" }, all, " all choices")].filter(Boolean));
    }

    function drawTable(compared) {
      const nodes = compared.length ? [comparisonTable.draw(view, compared, view.state.get("choices") === "all", remove)] : introduction();
      dom.refill(tableBox, nodes);
    }

    function introduction() {
      const landmarks = frontChoice.landmarks(view.study), words = [...landmarks].map(([trial, word]) => `${word} (${trial})`);
      const start = element("button", { type: "button", class: "quiet", onclick: () => comparedTrials.store(view, [...landmarks.keys()]) }, `Compare ${new Intl.ListFormat("en-GB").format(words)}`);
      const text = `Nothing to compare yet: add up to ${comparedTrials.MAX_TRIALS} trials here, or press “Compare” or “Pin” in the drawer of a trial.`;
      return [element("p", { class: "about" }, text), ...(landmarks.size > 1 ? [start] : [])];
    }

    function drawCurves(compared) {
      const { study } = view;
      const longest = compared.reduce((best, trial) => (study.curves[trial] || []).length > (study.curves[best] || []).length ? trial : best, compared[0]);
      if (!compared.length || (study.curves[longest] || []).length < 2) {
        curvesBox.replaceChildren();
        return;
      }
      const known = details.get(longest);
      const epochs = learningCurves.epochsOf(known ? known.detail : {}, study.curves[longest].length);
      curvesBox.replaceChildren(element("h3", {}, "Learning curves"), lineChart.draw(
        compared.map((trial, i) => ({ ...learningCurves.series(study, trial, epochs), colour: theme.COLOURS[i], width: 2, dash: [null, "7 3", "2 3", "9 3 2 3"][i], name: `trial ${trial}`, isMain: i === 0 })),
        { title: "Validation accuracy", label: `Validation accuracy of trials ${compared.join(", ")}`, yText: (value) => value.toFixed(2), readout: (x, y) => `trial ${compared[0]}, epoch ${x}: ${format.ratio(y)}`, legend: true },
      ));
    }

    async function detailOf(trial) {
      const { study } = view, stamp = study.state(trial), known = details.get(trial);
      if (known && known.stamp === stamp) return known.detail;
      const detail = await view.source.detail(study.key, trial) || {};
      details.set(trial, { stamp, detail });
      return detail;
    }

    async function drawNetworks(compared) {
      const wanted = compared.map((trial) => `${trial} ${view.study.state(trial)}`).join();
      if (wanted === drawnNetworks) return;
      drawnNetworks = wanted;
      const found = await Promise.all(compared.map((trial) => detailOf(trial).catch(() => ({}))));
      if (wanted !== drawnNetworks) return;
      networksBox.replaceChildren(...found.map((detail, i) => element("section", { "aria-label": `Network of trial ${compared[i]}` }, element("h3", {}, `Trial ${compared[i]}`),
        detail.parts ? networkDrawing.draw(detail, view.study) : element("p", { class: "about" }, "Its architecture is not on this page."))));
      drawCurves(compared);
    }

    // Studies -----------------------------------------------------------------------------------------------------------

    const otherKeys = () => (view.state.get("studies") || "").split(",").filter((key) => key !== view.study.key && view.studies.some((entry) => entry.key === key));

    function studyOf(key) {
      if (!loaded.has(key)) loaded.set(key, view.source.load(key).then((document) => new columns.Study(document)));
      return loaded.get(key);
    }

    /** The name of a study, with its place where another has the same name. */
    function nameOf({ key, name }) {
      const isUnique = view.studies.every((other) => other.key === key || other.name !== name);
      const { folder } = view.studies.find((entry) => entry.key === key) || {};
      return isUnique ? name : `${name} (${folder || key})`;
    }

    function studyBox(entry) {
      const { key } = entry;
      const keys = otherKeys(), isShown = keys.includes(key);
      const onchange = () => view.state.set({ studies: (isShown ? keys.filter((other) => other !== key) : [...keys, key]).join(",") });
      return element("label", { class: "check" }, element("input", { type: "checkbox", value: key, checked: isShown, onchange }), ` ${nameOf(entry)}`);
    }

    function axisChoice(label, name, objectives, value) {
      return dom.select(label, objectives.map((objective) => [objective.name, objective.label]), value, (chosen) => view.state.set({ [name]: chosen }));
    }

    function drawOverlay(studies) {
      const objectives = studyOverlay.common(studies);
      const named = (name, fallback) => objectives.find((objective) => objective.name === view.state.get(name)) || fallback;
      if (!objectives.length) {
        studyNote.textContent = "These studies have no objective in common.";
        figure.hidden = studyTable.hidden = true;
        return;
      }
      const y = named("cy", objectives[0]), x = named("cx", objectives.find((objective) => objective !== y) || y);
      studyNote.textContent = "";
      studyTable.hidden = false;
      studyTable.replaceChildren(studyOverlay.table(studyOverlay.summaries(studies, objectives), objectives, nameOf));
      figure.hidden = x === y;
      if (x === y) return;
      studyPicker.replaceChildren(...view.studies.filter(({ key }) => key !== view.study.key).map(studyBox), axisChoice("horizontal", "cx", objectives, x.name), axisChoice("vertical", "cy", objectives, y.name));
      plot.draw(figure, () => studyOverlay.describe(studies, [x, y], nameOf), { zoom: "zoom.compare", shown: `${x.name},${y.name}`, onselect: view.select, label: `${y.label} against ${x.label} of ${studies.length} studies` });
    }

    async function drawStudies() {
      if (view.studies.length < 2) return;
      if (!studiesBox.childElementCount) studiesBox.append(element("h2", {}, "Studies"), element("p", { class: "about" }, "Choose studies to show on one front with this one."), studyPicker, studyNote, figure, studyTable);
      const keys = otherKeys();
      studyPicker.replaceChildren(...view.studies.filter(({ key }) => key !== view.study.key).map(studyBox));
      figure.hidden = studyTable.hidden = !keys.length;
      studyNote.textContent = "";
      if (!keys.length) return;
      try {
        const others = await Promise.all(keys.map(studyOf));
        if (keys.join() === otherKeys().join()) drawOverlay([view.study, ...others]);
      } catch (error) {
        for (const key of keys) loaded.delete(key);
        studyNote.textContent = `A study could not be loaded: ${error.message}`;
      }
    }

    return {
      update() {
        const compared = trials();
        drawPicker();
        drawTable(compared);
        drawCurves(compared);
        drawNetworks(compared);
        drawStudies();
      },
    };
  },
});
