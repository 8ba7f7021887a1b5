// What of the search space was never tried.

const untried = (() => {
  const TRAINED = ["complete", "stopped"];

  /** {key: [texts]}: values that a parameter can take, and that no trained trial has; null while the space is not known. */
  function values(study) {
    const possible = study.analysis && study.analysis.space_values;
    if (!possible) return null;
    const states = study.column("state"), codes = study.field("state").codes, isTrained = codes.map((name) => TRAINED.includes(name));
    return Object.fromEntries(Object.entries(possible).map(([key, texts]) => {
      const field = study.field(key), column = study.column(key), seen = new Set();
      if (field) for (let i = 0; i < study.count; i++) if (column[i] >= 0 && isTrained[states[i]]) seen.add(field.codes[column[i]]);
      return [key, texts.filter((text) => !seen.has(text))];
    }).filter(([, texts]) => texts.length));
  }

  /** The number of different architectures that were proposed, and their share of the space in words. */
  function visited(study) {
    const column = study.column("id"), seen = new Set();
    if (study.field("id")) for (const code of column) if (code >= 0) seen.add(code);
    const size = study.meta.space_size ? Number(study.meta.space_size) : NaN;
    const share = 100 * seen.size / size;
    return { count: seen.size, size, share: Number.isNaN(share) ? "" : share >= 0.1 ? `${format.si(share)} %` : `${share.toPrecision(2)} %` };
  }

  function mount(root, view) {
    const words = element("p", { class: "about" }), table = element("div", { class: "scroll" });
    root.append(element("h2", {}, "Never tried"), words, table);

    function draw() {
      const { study } = view, { count, size, share } = visited(study), missing = values(study);
      const of = Number.isNaN(size) ? "" : ` of the ${format.si(size)} in the space (${share})`;
      const rows = Object.entries(missing || {}).map(([key, texts]) => {
        const { name, stage } = preferences.parsed(key);
        return [name, stage === null ? format.MISSING : String(stage + 1), texts.join(", ")];
      });
      const rest = missing === null ? pending(study) : rows.length ? "" : " Every value of every parameter was trained at least once.";
      words.textContent = `${format.count(count, "different architecture")}${of} ${count === 1 ? "was" : "were"} proposed.${rest}`;
      table.replaceChildren(...(rows.length ? [dom.table("Values that no trained trial has", ["parameter", "stage", "values"], rows, [1])] : []));
    }

    const pending = (study) => study.analysis ? study.meta.config && study.meta.config.space ? " The space of this study cannot be read by this version." : " The study does not record its space." : " Which values were never trained is being computed.";

    return { update: ({ data }) => { if (data) draw(); } };
  }

  return { mount };
})();
