// Colours. Those of categories are from Okabe and Ito, which colour-blind people can tell apart; each has its own symbol, too.

const theme = (() => {
  const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8A6D3B", "#7F7F7F"];
  const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "pentagon", "star", "hexagon"];
  const collator = new Intl.Collator("en", { numeric: true });
  const KEY = "mixfront-theme";
  const listeners = [];
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");

  /** The colour of the style's variable `name`, such as "--ink". */
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function stored() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // a browser that keeps nothing for files
    }
  }

  let chosen = stored() || "auto";

  function apply() {
    document.documentElement.dataset.theme = isDark() ? "dark" : "light";
    for (const listener of listeners) listener();
  }

  const isDark = () => chosen === "dark" || (chosen !== "light" && prefersDark.matches);

  /** Choose "auto", "light" or "dark". */
  function choose(name) {
    chosen = name;
    try {
      localStorage.setItem(KEY, name);
    } catch {
      // the choice lasts as long as the page
    }
    apply();
  }

  prefersDark.addEventListener("change", apply);
  apply();

  /** The order of texts in legends: numbers by size, others by name. */
  function ordered(texts) {
    return [...texts].sort(collator.compare);
  }

  /** Text -> colour and symbol, by the order of all texts of a field, so that they do not depend on what is shown. */
  function palette(texts) {
    const names = ordered(texts);
    return new Map(names.map((name, i) => [name, { colour: COLOURS[i % COLOURS.length], symbol: SYMBOLS[i % SYMBOLS.length] }]));
  }

  return {
    colour, palette, ordered, choose, isDark, COLOURS, SYMBOLS,
    get chosen() { return chosen; },
    onChange: (listener) => listeners.push(listener),
  };
})();
