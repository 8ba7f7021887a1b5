// Panel "Front": the trials in the plane or the space of their values, limits on them, and which one to take.

definePanel({
  id: "front",
  title: "Front",
  order: 1,
  mount(root, page) {
    const SELECTION_DELAY_MS = 100;
    const figure = element("div", { class: "figure large" });
    const stage = element("div", { class: "front-figure", tabindex: 0, role: "group", "aria-label": "Figure of the front. Arrow keys go along the front." }, figure);
    const spoken = element("p", { class: "for-readers", "aria-live": "polite" }), notes = element("p", { class: "about notes" });
    const parts = ["controls", "choice", "limits"].map((name) => element("div", { class: `front-${name}` }));
    const [controlsRoot, choiceRoot, limitsRoot] = parts;
    root.classList.add("front");
    root.append(controlsRoot, element("div", { class: "front-columns" }, element("div", { class: "front-main" }, stage, notes, spoken), choiceRoot, limitsRoot));

    const controls = frontControls.mount(controlsRoot, page, zoomTo), cards = frontCards.mount(choiceRoot, page);
    let draft = null; // key and limits of a slider that moves: [key, bounds]
    let scene = null; // what is shown
    let isLate = false; // whether the figure is drawn later
    const limitList = frontLimitList.mount(limitsRoot, page, (key, bounds) => {
      if (!draft) requestAnimationFrame(() => redraw());
      draft = [key, bounds];
    });

    /** All that the figure and the lists show: see `frontTraces.of`. */
    function makeScene() {
      const { study } = page, view = frontView.current(study);
      const limits = new Map([...frontLimits.current(study), ...(draft ? [draft] : [])]), rules = frontLimits.active(study, limits);
      const points = frontPoints.of(study, view, rules, plot.zoomOf("zoom.front", frontView.shownText(view)));
      const colours = frontCoding.colours(study, view.colour), symbols = frontCoding.symbols(study, view.symbol, colours);
      return { study, view, limits, rules, points, colours, symbols, selected: page.selected, pins: page.pins };
    }

    const describe = () => ({ traces: frontTraces.of(scene), layout: frontLayout.of(scene) });

    function drawFigure() {
      const { view } = scene;
      plot.draw(figure, describe, {
        zoom: view.z ? null : "zoom.front", shown: frontView.shownText(view), onselect: page.select,
        hover: (trial) => frontHover.nodes(page, view, trial), label: frontText.label(scene),
      });
    }

    /** Draw the figure a little later, so that the details of a trial that was clicked are seen first. */
    function drawFigureLate() {
      if (!isLate) setTimeout(() => { isLate = false; drawFigure(); }, SELECTION_DELAY_MS);
      isLate = true;
    }

    function redraw(isSelection = false) {
      scene = makeScene();
      const { view } = scene;
      controls.update(view, scene.points);
      limitList.update(scene.limits, frontText.within(scene));
      notes.textContent = frontText.notes(scene);
      stage.hidden = frontPoints.isEmpty(scene);
      if (isSelection) drawFigureLate();
      else drawFigure();
      cards.update(scene.rules, view);
    }

    /** Zoom to the front within the limits, or show all. */
    function zoomTo(part) {
      const { view, points } = scene;
      const ranges = part === "front" && points.front.length > 1 ? frontPoints.rangesOfFront(view, points) : null;
      plot.zoomTo(figure, ranges);
    }

    stage.addEventListener("keydown", (event) => {
      const next = frontKeys.next(event.key, scene);
      if (next === undefined) return;
      event.preventDefault();
      state.set({ trial: next });
      spoken.textContent = next === null ? "" : frontHover.sentence(page.study, next);
    });

    function update({ data, names }) {
      draft = null;
      redraw(!data && names.length > 0 && names.every((name) => name === "trial"));
    }

    return { update };
  },
});
