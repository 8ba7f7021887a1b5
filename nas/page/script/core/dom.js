// Building the document. All text from a study becomes text nodes, never markup.

const dom = (() => {
  const SVG = "http://www.w3.org/2000/svg";

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value === true) node.setAttribute(name, "");
      else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
    return node;
  }

  /** A new element: `element("button", {type: "button", onclick: save}, "Save")`. Attributes that are null or false are left out. */
  function element(tag, attributes = {}, ...children) {
    return fill(document.createElement(tag), attributes, children);
  }

  /** A new SVG element. */
  function svg(tag, attributes = {}, ...children) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
  }

  const byId = (id) => document.getElementById(id);

  /** A button that copies what `text()` returns. */
  function copyButton(text, label = "Copy") {
    const button = element("button", { type: "button", class: "quiet" }, label);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text());
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not allowed here";
      }
      setTimeout(() => { button.textContent = label; }, 1500);
    });
    return button;
  }

  /** A labelled `select`; `options` are [value, text] pairs or {group, options}. */
  function select(label, options, value, onchange, attributes = {}) {
    const choice = ([key, text]) => element("option", { value: key, selected: key === value }, text);
    const items = options.map((item) => Array.isArray(item)
      ? choice(item)
      : element("optgroup", { label: item.group }, ...item.options.map(choice)));
    const node = element("select", { ...attributes, onchange: () => onchange(node.value) }, ...items);
    return element("label", { class: "control" }, element("span", {}, label), node);
  }

  /** A number with its label and a note, for a list of class "facts". */
  function fact(label, value, note) {
    return element("div", { class: "fact" }, element("dt", {}, label), element("dd", {}, element("span", {}, value), element("small", { title: note }, note)));
  }

  /** The nodes of a text in which commands and paths are between backticks. */
  const withCode = (text) => text.split("`").map((part, i) => i % 2 ? element("code", {}, part) : part);

  /** A table with a caption; a cell is a text or a node, `numbers` are the indices of the columns of numbers. */
  function table(caption, heads, rows, numbers = []) {
    const cells = (tag, texts, attributes) => texts.map((text, i) => element(tag, { ...attributes, ...(numbers.includes(i) ? { class: "number" } : {}) }, text));
    return element("table", {},
      element("caption", {}, caption),
      element("thead", {}, element("tr", {}, ...cells("th", heads, { scope: "col" }))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells("td", row, {})))),
    );
  }

  /** Replace the content of `box` unless it is the same, so that buttons keep the focus. */
  function refill(box, nodes) {
    const isSame = box.childNodes.length === nodes.length && nodes.every((node, i) => node.isEqualNode(box.childNodes[i]));
    if (!isSame) box.replaceChildren(...nodes);
  }

  /** Wait for what is stored by `promise`; if it fails, `node` says why. */
  async function attempt(promise, node, what) {
    try {
      await promise;
    } catch (error) {
      node.textContent = `${what}: ${error.message}`;
      node.hidden = false;
    }
  }

  /** Offer `text` as a file to save. */
  function download(name, text, type) {
    const url = URL.createObjectURL(new Blob([text], { type }));
    const link = element("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  return { element, svg, byId, copyButton, select, attempt, fact, withCode, refill, table, download };
})();

const { element, svg, byId, copyButton } = dom;
