// The view as part of the address: `#/STUDY/PANEL?x=macs&trial=31`. A link shows a colleague the same view.

const state = (() => {
  const listeners = [];
  let current = { study: "", panel: "", values: new Map() };

  function parse(hash) {
    const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
    const [study = "", panel = ""] = path.split("/").map(safelyDecoded);
    return { study, panel, values: new Map(new URLSearchParams(query)) };
  }

  function safelyDecoded(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }

  const valuesText = () => new URLSearchParams([...current.values]).toString();

  function address() {
    const path = [current.study, current.panel].map(encodeURIComponent).join("/"), query = valuesText();
    return `#/${path}${query ? `?${query}` : ""}`;
  }

  function store(push) {
    history[push ? "pushState" : "replaceState"](null, "", address());
  }

  /** The text under `name`; `fallback` if there is none. */
  function get(name, fallback = null) {
    return current.values.has(name) ? current.values.get(name) : fallback;
  }

  /** The number under `name`, or null. */
  function getNumber(name) {
    const text = get(name);
    return text === null || text === "" || !Number.isFinite(Number(text)) ? null : Number(text);
  }

  /** The names of values that start with `prefix`. */
  const names = (prefix) => [...current.values.keys()].filter((name) => name.startsWith(prefix));

  /** Set values (null removes one) and tell the listeners; `push` makes an entry in the browser's history. */
  function set(values, push = false) {
    let changed = false;
    for (const [name, value] of Object.entries(values)) {
      const text = value === null || value === undefined || value === "" ? null : String(value);
      if (get(name) === text) continue;
      changed = true;
      if (text === null) current.values.delete(name);
      else current.values.set(name, text);
    }
    if (!changed) return;
    store(push);
    notify(Object.keys(values));
  }

  /** Show another study or panel. Values of the view are kept within a study. */
  function go(study, panel) {
    if (study === current.study && panel === current.panel) return;
    const values = study === current.study ? current.values : new Map();
    current = { study, panel, values };
    store(true);
    notify(["study", "panel"]);
  }

  /** Complete the address without an entry in the history and without telling anybody. */
  function settle(study, panel) {
    current = { ...current, study, panel };
    store(false);
  }

  function notify(names) {
    for (const listener of listeners) listener(names);
  }

  /** Call `listener(names)` after each change, with the names of the values that may have changed. */
  function onChange(listener) {
    listeners.push(listener);
  }

  window.addEventListener("popstate", () => {
    const before = current;
    current = parse(location.hash);
    notify([...new Set([...before.values.keys(), ...current.values.keys(), "study", "panel"])]);
  });
  current = parse(location.hash);

  return { get, getNumber, names, set, go, settle, onChange, get study() { return current.study; }, get panel() { return current.panel; }, /** All values as one text. */ get values() { return valuesText(); } };
})();
