// The table of compared trials: values with their differences from the first trial, and the choices of the search space.

const comparisonTable = (() => {
  const ARROWS = { "-1": "▼", 0: "", 1: "▲" };
  const WORDS = { "-1": "worse", 0: "", 1: "better" };

  function changeText(study, field, trial, reference) {
    if (!field.direction) return null;
    const found = standing.difference(study, field, trial, reference);
    if (found === null) return null;
    const { text, better } = found;
    if (better === 0) return element("small", { class: "change" }, "the same");
    const short = text.replace(` ${field.label.replace(/^validation /, "")}`, "").replace(/ the$/, "");
    return element("small", { class: `change ${WORDS[better]}` }, `${ARROWS[better]} ${short} (${WORDS[better]})`);
  }

  /** The index of the best trial in a field; -1 if no value is better or all are alike. */
  function bestOf(study, field, trials) {
    if (!field.direction || trials.length < 2) return -1;
    const values = trials.map((trial) => pareto.sign(field) * study.value(field.key, trial));
    const best = Math.max(...values.filter(Number.isFinite));
    return values.filter((value) => value === best).length === 1 ? values.indexOf(best) : -1;
  }

  function valueRow(study, field, trials) {
    const best = bestOf(study, field, trials);
    const cells = trials.map((trial, i) => element("td", { class: i === best ? "number best" : "number" },
      study.text(field.key, trial), i === best ? element("span", { class: "badge good" }, "best") : null, i ? changeText(study, field, trial, trials[0]) : null));
    return element("tr", {}, element("th", { scope: "row" }, field.label), ...cells);
  }

  /** A row of texts; those that differ from the first are marked unless `isPlain`. */
  function textRow(label, texts, isPlain = false) {
    const cells = texts.map((text) => element("td", { class: !isPlain && text !== texts[0] ? "different" : null }, text));
    return { isDifferent: new Set(texts).size > 1, row: element("tr", {}, element("th", { scope: "row" }, label), ...cells) };
  }

  const heading = (text, columns) => element("tr", { class: "group" }, element("th", { colspan: columns + 1, scope: "colgroup" }, text));

  function choiceRows(study, trials, showsAll) {
    const rows = study.fieldsOf("choice").map((field) => textRow(standing.choiceLabel(field), trials.map((trial) => study.text(field.key, trial))));
    const known = rows.filter(({ row }) => [...row.cells].slice(1).some(({ textContent }) => textContent !== format.MISSING));
    return known.filter(({ isDifferent }) => showsAll || isDifferent).map(({ row }) => row);
  }

  function head(view, trials, remove) {
    const { study } = view;
    return element("thead", {}, element("tr", {}, element("td"), ...trials.map((trial, i) => {
      const mark = element("span", { class: "mark", "aria-hidden": "true" });
      mark.style.background = theme.COLOURS[i];
      return element("th", { scope: "col" }, mark, trialSections.trialLink(view, trial), study.front.has(trial) ? element("span", { class: "badge good" }, "on the front") : element("span", { class: "badge" }, study.state(trial)),
        element("button", { type: "button", class: "quiet icon remove", "aria-label": `Do not compare trial ${trial}`, onclick: () => remove(trial) }, "×"));
    })));
  }

  /** The table of `trials`; the first is the one that the others are compared with. `showsAll`: also choices that are alike. */
  function draw(view, trials, showsAll, remove) {
    const { study } = view, has = (field) => trials.some((trial) => trialSections.hasValue(study, field, trial));
    const values = [...standing.objectiveFields(study), ...standing.valueFields(study)].filter(has);
    const times = study.fieldsOf("time").filter((field) => field.format === "seconds" && has(field));
    const choices = choiceRows(study, trials, showsAll);
    return element("table", { class: "comparison" }, head(view, trials, remove), element("tbody", {},
      heading("Values", trials.length), ...values.map((field) => valueRow(study, field, trials)),
      ...times.map((field) => textRow(field.label, trials.map((trial) => study.text(field.key, trial)), true).row),
      heading(showsAll ? "Choices" : "Choices that differ", trials.length),
      ...(choices.length ? choices : [element("tr", {}, element("td", { colspan: trials.length + 1, class: "soft" }, "none"))])));
  }

  return { draw };
})();
