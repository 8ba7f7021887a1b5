// The frame of the page: header, tabs, the visible panel, and the drawer of the selected trial.

const app = (() => {
  const EDGE_PX = 46; // of the row of tabs, under the buttons that scroll it
  const RETRY_MS = 500; // after an answer that a study is still being read
  const SLOW_MS = 400; // a page that takes longer says what it waits for
  const mounted = new Map(); // panel id -> {handle: what its `mount` returned, seen: the data and the view that it shows}
  const from = source.open();
  const { fact } = dom;
  let view = null, unsubscribe = () => {}, drawer = null, pending = null;

  // Frame -------------------------------------------------------------------------------------------------------------

  function themeButton() {
    const names = { auto: "◐", light: "☀", dark: "☾" };
    const label = () => `Theme: ${theme.chosen}`;
    const button = element("button", { type: "button", class: "quiet icon", "aria-label": label(), title: label() }, names[theme.chosen]);
    button.addEventListener("click", () => {
      const order = Object.keys(names);
      theme.choose(order[(order.indexOf(theme.chosen) + 1) % order.length]);
      button.textContent = names[theme.chosen];
      button.ariaLabel = button.title = label();
    });
    return button;
  }

  function frame() {
    const home = view.source.isLive ? element("a", { href: "#/", class: "home" }, "All studies") : null;
    const title = element("h1", { id: "study-name" });
    const status = element("span", { id: "status", role: "status" });
    const tools = element("span", { class: "tools" }, element("span", { id: "connection", role: "status" }), themeButton());
    const tabs = element("div", { id: "tabs", role: "tablist", "aria-label": "Panels" }, ...panels.map(tab));
    tabs.addEventListener("keydown", moveTab);
    byId("page").replaceChildren(
      element("header", {}, element("div", { class: "title" }, home, title, status, tools), element("div", { id: "warnings" }), element("dl", { id: "facts", class: "facts" }), tabRow.of(tabs)),
      element("div", { class: "body" }, element("main", { id: "panels" }, ...panels.map(section)), element("aside", { id: "drawer", "aria-label": "Selected trial", hidden: true })),
    );
  }

  function tab({ id, title }) {
    return element("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": `panel-${id}`, onclick: () => state.go(view.study.key, id) }, title);
  }

  function section({ id }) {
    return element("section", { id: `panel-${id}`, role: "tabpanel", "aria-labelledby": `tab-${id}`, class: "panel", hidden: true });
  }

  function moveTab(event) {
    const buttons = [...event.currentTarget.children], at = buttons.indexOf(document.activeElement), last = buttons.length - 1;
    const to = { ArrowRight: at < last ? at + 1 : 0, ArrowLeft: at > 0 ? at - 1 : last, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = buttons[to];
    next.focus();
    next.click();
  }

  // Facts -------------------------------------------------------------------------------------------------------------

  function drawWarnings() {
    const { warnings = [] } = view.study.analysis || {};
    byId("warnings").replaceChildren(...[view.problem, ...warnings].filter(Boolean).map((text) => element("p", { class: "warning" }, ...dom.withCode(text))));
  }

  /** The state of a study, as in the list of studies (nas/dashboard/summary.py). */
  function stateWord(study, target) {
    if (study.searching) return "searching";
    if (!study.count) return "no trials yet";
    return study.trained >= (target || 0) && !study.states.running ? "finished" : "interrupted";
  }

  function drawHeader() {
    const { study } = view, states = study.states, best = study.best, { primary } = study;
    document.title = study.name;
    byId("study-name").textContent = study.name;
    const target = study.meta.target && study.meta.target.trials;
    byId("status").textContent = view.source.isLive ? stateWord(study, target) : "report";
    byId("status").className = study.searching ? "status busy" : "status";
    drawWarnings();
    const shares = Object.entries(states).map(([name, number]) => `${format.integer(number)} ${name}`);
    byId("facts").replaceChildren(
      fact("trials", format.integer(study.trained) + (target ? ` of ${format.integer(target)}` : ""), shares.join(", ") || "none yet"),
      best < 0 ? fact("best", format.MISSING, "no trial is complete yet") : fact(`best ${primary.label}`, study.text(primary.name, best), `trial ${best}`),
      fact("Pareto front", format.integer(study.front.size), study.front.size === 1 ? "non-dominated trial" : "non-dominated trials"),
      fact("hypervolume", format.ratio(study.hypervolume), "of the box of values seen"),
    );
  }

  // Panels ------------------------------------------------------------------------------------------------------------

  function showPanel() {
    const panel = panels.find(({ id }) => id === state.panel) || panels[0];
    for (const other of panels) {
      const button = byId(`tab-${other.id}`), isShown = other === panel;
      button.ariaSelected = String(isShown);
      button.tabIndex = isShown ? 0 : -1;
      if (isShown) reveal(button);
      byId(`panel-${other.id}`).hidden = !isShown;
    }
    if (!mounted.has(panel.id)) mounted.set(panel.id, { handle: panel.mount(byId(`panel-${panel.id}`), view), seen: null, showsOpen: panel.showsOpen });
    state.settle(view.study.key, panel.id);
    updatePanel({ data: true, names: [] });
  }

  /** Scroll the row of tabs, where it is wider than the window, so that `button` is seen beside the buttons that scroll it. */
  function reveal(button) {
    const row = button.parentElement, edge = row.scrollWidth > row.clientWidth ? EDGE_PX : 0;
    const left = button.offsetLeft - row.offsetLeft - edge, right = left + button.offsetWidth + 2 * edge;
    if (left < row.scrollLeft) row.scrollLeft = left;
    else if (right > row.scrollLeft + row.clientWidth) row.scrollLeft = right - row.clientWidth;
  }

  /** A text that changes with the data that a panel shows, and with the view. */
  const seenText = ({ showsOpen }) => `${showsOpen ? view.study.revision : view.study.resultRevision} ${state.values}`;

  /** Draw the visible panel again, unless it has seen all that it shows. */
  function updatePanel(reason) {
    const panel = mounted.get(state.panel);
    if (!panel || panel.seen === seenText(panel)) return;
    panel.handle.update(reason);
    panel.seen = seenText(panel);
  }

  function showDrawer(reason) {
    const trial = view.selected, isOpen = Number.isInteger(trial) && trial >= 0 && trial < view.study.count;
    byId("drawer").hidden = !isOpen;
    document.body.classList.toggle("with-drawer", isOpen);
    if (!isOpen) return;
    drawer ??= trialDrawer.mount(byId("drawer"), view);
    drawer.update(reason);
  }

  // Changes -----------------------------------------------------------------------------------------------------------

  /** Draw what changed at the next frame; several changes are drawn once. */
  function schedule(reason) {
    if (pending) {
      pending.data ||= reason.data;
      pending.names = [...new Set([...pending.names, ...reason.names])];
      return;
    }
    pending = { ...reason };
    requestAnimationFrame(() => {
      const due = pending;
      pending = null;
      if (due.names.includes("study") && (!view || state.study !== view.study.key)) {
        start();
        return;
      }
      if (!view) return; // the list of studies
      if (due.data) drawHeader();
      if (due.names.includes("panel")) showPanel();
      else updatePanel(due);
      showDrawer(due);
    });
  }

  function makeView(study, from) {
    return {
      study,
      source: from,
      state,
      /** The number of the selected trial, or null. */
      get selected() { return state.getNumber("trial"); },
      select: (trial) => state.set({ trial }, true),
      get pins() { return new Set(study.pins); },
      pin: (trial, isPinned) => from.setPin(study.key, trial, isPinned),
    };
  }

  /** Show the study that the address names; if it names none, the list of studies, or the first study of a file. */
  async function start() {
    unsubscribe();
    mounted.clear();
    drawer = view = null;
    const slow = setTimeout(() => byId("page").replaceChildren(element("p", { class: "reading", role: "status" }, "Reading …")), SLOW_MS);
    try {
      const entries = await from.studies();
      const isNamed = entries.some(({ key }) => key === state.study);
      const isFirst = !from.isLive || (entries.length === 1 && location.hash === "");
      if (isNamed || isFirst) await showStudy(isNamed ? state.study : entries[0].key, entries);
      else unsubscribe = studyList.show(byId("page"), { entries, from, tools: themeButton(), missing: state.study });
    } catch (error) {
      byId("page").replaceChildren(element("p", { class: "warning", role: "alert" }, error.message));
      if (error.status === 503) setTimeout(() => { if (!view) start(); }, RETRY_MS); // as while a study is read for the first time
    } finally {
      clearTimeout(slow);
    }
  }

  async function showStudy(key, entries) {
    const study = new columns.Study(await from.load(key));
    view = makeView(study, from);
    view.studies = entries;
    frame();
    drawHeader();
    state.settle(key, state.panel);
    showPanel();
    showDrawer({ data: true, names: [] });
    unsubscribe = from.subscribe(key, handlersOf(view));
  }

  function handlersOf(shown) {
    return {
      change(change) {
        shown.study.apply(change);
        schedule({ data: true, names: [] });
      },
      load(document) {
        shown.study.load(document);
        schedule({ data: true, names: [] });
      },
      problem(text) {
        shown.problem = text;
        schedule({ data: true, names: [] });
      },
      connection(text) {
        byId("connection").textContent = text;
      },
    };
  }

  state.onChange((names) => schedule({ data: false, names }));

  return { start, get view() { return view; } };
})();
