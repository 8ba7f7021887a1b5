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
      element("p", {}, text),
    );
  }

  function mount(root, view) {
    const words = element("p", { class: "about", role: "status" }), list = element("ul", { class: "cards" });
    root.append(words, list);
    let shown = "";

    function update({ data }) {
      if (!data) return;
      const { analysis } = view.study, findings = (analysis && analysis.health) || [];
      const counts = ORDER.map((verdict) => [verdict, findings.filter((finding) => finding.verdict === verdict).length]).filter(([, number]) => number);
      const summary = !analysis ? "The health of the study is being computed …"
        : findings.length ? `${format.capitalised(counts.map(([verdict, number]) => `${VERDICTS[verdict][1]}: ${number}`).join(", "))}.` : "Nothing was computed for this study.";
      if (words.textContent !== summary) words.textContent = summary;
      const text = JSON.stringify(findings);
      if (text === shown) return;
      shown = text;
      const sorted = [...findings].sort((a, b) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict));
      list.replaceChildren(...sorted.map(card));
    }

    return { update };
  }

  return { mount };
})();
