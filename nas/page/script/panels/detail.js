// The drawer of the selected trial.

const trialDrawer = {
  mount(root, view) {
    const title = element("h2"), values = element("dl", { class: "values" });
    const close = element("button", { type: "button", class: "quiet icon close", "aria-label": "Close", onclick: () => view.select(null) }, "×");
    root.replaceChildren(close, title, values);
    return {
      update() {
        const { study, selected } = view;
        title.textContent = `Trial ${selected}`;
        values.replaceChildren(...study.fieldsOf("objective", "cost", "measured", "trained").flatMap((field) => [
          element("dt", {}, field.label), element("dd", {}, study.text(field.key, selected)),
        ]));
      },
    };
  },
};
