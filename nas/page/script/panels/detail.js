// The drawer of the selected trial.

const trialDrawer = {
  mount(root, view) {
    const STEPS = { ArrowLeft: -1, ArrowRight: 1 };
    let shown = null; // {trial, stamp} of what is drawn
    let note = { trial: null, text: "" }; // that is drawn
    let request = 0; // of the latest detail that was asked for

    const title = element("h2", { id: "trial-title" }), badges = element("span", { class: "badges" });
    const pin = element("button", { type: "button", class: "quiet", onclick: togglePin });
    const compareButton = element("button", { type: "button", class: "quiet", onclick: toggleCompared });
    const link = copyButton(() => location.href, "Copy link");
    const previous = step("Previous trial on the front (←)", "‹", -1), next = step("Next trial on the front (→)", "›", 1);
    const close = element("button", { type: "button", class: "quiet icon", "aria-label": "Close", onclick: () => view.select(null) }, "×");
    const standingBox = element("div"), valuesBox = element("div"), noteBox = element("div"), detailBox = element("div", { "aria-live": "polite" }), nearestBox = element("div"), endBox = element("div");
    const head = element("div", { class: "drawer-head" }, element("div", { class: "drawer-title" }, title, badges, element("span", { class: "steps" }, previous, next, close)), element("div", { class: "drawer-tools" }, pin, compareButton, link));
    root.replaceChildren(head, standingBox, valuesBox, noteBox, detailBox, nearestBox, endBox);
    document.addEventListener("keydown", move);

    function step(label, text, by) {
      return element("button", { type: "button", class: "quiet icon", "aria-label": label, title: label, onclick: () => stepOnFront(by) }, text);
    }

    /** Select the next trial of the front; from a trial off the front, the nearest one in that direction of the first cheap objective. */
    function stepOnFront(by) {
      const { study, selected } = view, front = standing.orderedFront(study);
      if (!front.length) return;
      const at = front.indexOf(selected);
      view.select(at < 0 ? front[by > 0 ? 0 : front.length - 1] : front[(at + by + front.length) % front.length]);
    }

    function move(event) {
      if (!root.isConnected) document.removeEventListener("keydown", move); // another study is shown
      const by = STEPS[event.key], { target } = event;
      const isFree = target === document.body || (root.contains(target) && !target.closest("input, textarea, select, pre, .js-plotly-plot"));
      if (!by || root.hidden || !isFree || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      stepOnFront(by);
    }

    async function togglePin() {
      const trial = view.selected;
      try {
        await view.pin(trial, !view.pins.has(trial));
      } catch (error) {
        pin.textContent = `Not pinned: ${error.message}`;
      }
    }

    function toggleCompared() {
      comparedTrials.toggle(view, view.selected);
      drawHead();
    }

    function badge(text, kind = "") {
      return element("span", { class: `badge ${kind}` }, text);
    }

    function drawHead() {
      const { study, selected } = view, state = study.state(selected), isPinned = view.pins.has(selected);
      const kinds = { complete: "", running: "good", failed: "bad", refused: "warn", stopped: "warn" };
      title.textContent = `Trial ${selected}`;
      badges.replaceChildren(...[
        study.best === selected ? badge("best", "good") : null,
        study.front.has(selected) ? badge("on the front", "good") : null,
        badge(state, kinds[state]),
        isPinned ? badge("pinned") : null,
      ].filter(Boolean));
      pin.hidden = !study.writable;
      pin.textContent = isPinned ? "Unpin" : "Pin";
      const isCompared = comparedTrials.list(view).includes(selected);
      compareButton.textContent = isCompared ? "Do not compare" : "Compare";
    }

    /** What changes of a trial while it is open: its state and its curve. */
    const stampOf = (trial) => `${view.study.state(trial)} ${(view.study.curves[trial] || []).length}`;

    /** Draw `nodes` in `box` unless it shows the same, or, for the trial that is shown already, has the focus. */
    function redraw(box, ...nodes) {
      if (!(shown !== null && shown.trial === view.selected && box.contains(document.activeElement))) dom.refill(box, nodes);
    }

    /** Call `draw`, and scroll so that what is at the top of the drawer stays where it is. */
    function steadily(draw) {
      const edge = head.getBoundingClientRect().bottom, end = root.getBoundingClientRect().bottom;
      const boxes = [...root.children].slice(1).map((child) => ({ child, box: child.getBoundingClientRect() })).filter(({ box }) => box.bottom > edge && box.top < end);
      const { child: anchor } = boxes.find(({ box }) => box.top >= edge) || boxes[0] || { child: head };
      const before = anchor.getBoundingClientRect().top;
      draw();
      if (root.scrollTop > 0) root.scrollTop += anchor.getBoundingClientRect().top - before;
    }

    function drawColumns() {
      const { selected } = view;
      drawHead();
      redraw(standingBox, trialSections.drawStanding(view, selected));
      redraw(valuesBox, trialSections.drawValues(view, selected));
      redraw(nearestBox, ...[trialSections.drawNeighbours(view, selected)].filter(Boolean));
    }

    /** Draw the note, unless it is drawn already, is being edited, or has text that is not stored yet. */
    function drawNote() {
      const { study, selected } = view, text = (study.notes || {})[selected] || "", area = noteBox.querySelector("textarea");
      const isDrawn = note.trial === selected && (area ? area === document.activeElement || area.value !== area.defaultValue || area.value === text : note.text === text);
      if (isDrawn) return;
      note = { trial: selected, text };
      noteBox.replaceChildren(trialSections.drawNote(view, selected) || "");
    }

    function drawDetail(detail) {
      for (const div of detailBox.querySelectorAll(".js-plotly-plot")) plot.remove(div);
      detailBox.replaceChildren(...[detailSections.drawEnding(view, detail), ...detailSections.drawNetwork(view, detail)].filter(Boolean));
      endBox.replaceChildren(...[detailSections.drawCommands(detail), detailSections.drawRecord(view.study, detail)].filter(Boolean));
    }

    function drawMessage(text, retry) {
      const button = retry ? element("button", { type: "button", class: "quiet", onclick: () => load(view.selected) }, "Try again") : null;
      detailBox.replaceChildren(element("p", { class: "message", role: retry ? "alert" : null }, text, button));
      endBox.replaceChildren();
    }

    async function load(trial) {
      const asked = ++request, isSame = shown !== null && shown.trial === trial;
      shown = { trial, stamp: stampOf(trial) };
      root.ariaBusy = "true";
      const slow = isSame ? null : setTimeout(() => drawMessage("Loading …", false), 150);
      try {
        const detail = await view.source.detail(view.study.key, trial);
        if (asked !== request) return;
        if (detail) steadily(() => drawDetail(detail));
        else drawMessage("This page has no details of the trial.", false);
      } catch (error) {
        if (asked === request) drawMessage(error.status === 404 ? "This trial is no longer there." : `The details could not be loaded: ${error.message}`, error.status !== 404);
      } finally {
        clearTimeout(slow);
        if (asked === request) root.ariaBusy = "false";
      }
    }

    return {
      update(reason) {
        const trial = view.selected;
        if (shown === null || shown.trial !== trial) {
          root.scrollTop = 0;
          drawColumns();
          drawNote();
          load(trial);
          return;
        }
        if (!reason.data) {
          drawHead();
          return;
        }
        steadily(() => {
          drawColumns();
          drawNote();
        });
        if (shown.stamp !== stampOf(trial)) load(trial);
      },
    };
  },
};
