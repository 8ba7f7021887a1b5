// The findings about a study (nas/analysis/health.py), the worst first.

const healthCards = (() => {
  const VERDICTS = { bad: ["✕", "bad"], warn: ["!", "look at it"], unknown: ["?", "not known"], good: ["✓", "good"] };
  const ORDER = Object.keys(VERDICTS);

  function card({ title, verdict, value, text }) {
    const [symbol, words] = VERDICTS[verdict] || VERDICTS.unknown;
    return element("li", { class: `card ${verdict}` },
      element("h3", {}, title),
      element("p", { class: "verdict" }, element("span", { class: "symbol", "aria-hidden": "true" }, symbol), words),
      element("p", { class: "value" }, value),
      element("p", {}, ...dom.withCode(text)),
    );
  }

  function mount(root, view) {
    const words = element("p", { class: "about", role: "status" }), list = element("ul", { class: "cards" }), unmeasured = element("div", { class: "unmeasured" });
    root.append(words, list, unmeasured);
    let shown = "";

    function update({ data }) {
      if (!data) return;
      const { analysis } = view.study, { health: findings = [], missing = [] } = analysis || {};
      const counts = ORDER.map((verdict) => [verdict, findings.filter((finding) => finding.verdict === verdict).length]).filter(([, number]) => number);
      const summary = !analysis ? "The health of the study is being computed …"
        : findings.length ? `${format.capitalised(counts.map(([verdict, number]) => `${number} ${VERDICTS[verdict][1]}`).join(", "))}.` : "Nothing was computed for this study.";
      if (words.textContent !== summary) words.textContent = summary;
      const text = JSON.stringify([findings, missing]);
      if (text === shown) return;
      shown = text;
      const sorted = [...findings].sort((a, b) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict));
      list.replaceChildren(...sorted.map(card));
      unmeasured.replaceChildren(...missing.map((sentence) => element("p", { class: "about" }, ...dom.withCode(sentence))));
    }

    return { update };
  }

  return { mount };
})();
