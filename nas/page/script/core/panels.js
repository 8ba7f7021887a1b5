// The panels of the page. A panel is one file that calls `definePanel`.

const panels = [];

/**
 * Define a panel: `{id, title, order, showsOpen, mount(root, view)}`; `showsOpen` is true if it shows trials that wait or run.
 *
 * `mount` fills `root`, a section of the page, when the panel is first shown, and returns `{update(reason), hide()}`. `update` is
 * called while the panel is visible, after it was mounted and when something changed: `reason` is {data: bool, names: names of
 * values of the address}. `view` is {study, source, state, selected, select(trial), pins, pin(trial, isPinned), studies}.
 */
function definePanel(panel) {
  panels.push(panel);
  panels.sort((a, b) => a.order - b.order);
}
