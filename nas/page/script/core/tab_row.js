// A row of tabs that may be wider than the window: it fades at an end that hides tabs, where a button scrolls on.

const tabRow = (() => {
  const STEP = 0.7; // of the width of the row
  const SLACK_PX = 2; // of positions, which browsers round

  function button(text, title, tabs, direction) {
    const scroll = () => tabs.scrollBy({ left: direction * STEP * tabs.clientWidth, behavior: "smooth" });
    return element("button", { type: "button", class: `more-tabs ${direction < 0 ? "before" : "after"}`, title, "aria-hidden": "true", tabindex: -1, hidden: true, onclick: scroll }, text);
  }

  /** The row of `tabs` with its buttons. The keys of the tabs reach all of them, so the buttons are for pointers only. */
  function of(tabs) {
    const before = button("‹", "Earlier tabs", tabs, -1), after = button("›", "More tabs", tabs, 1);
    const update = () => {
      before.hidden = tabs.scrollLeft <= SLACK_PX;
      after.hidden = tabs.scrollLeft + tabs.clientWidth >= tabs.scrollWidth - SLACK_PX;
    };
    tabs.addEventListener("scroll", update, { passive: true });
    new ResizeObserver(update).observe(tabs);
    return element("div", { class: "tab-row" }, tabs, before, after);
  }

  return { of };
})();
