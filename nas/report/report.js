// The script of a report, after `page.js`. All text from the study enters the document as text nodes, never as markup.

const study = pageData;
const MAX_ROWS = 200; // of the full table, until the button below it is pressed
const plots = []; // {div, places: trial -> {x, y}, ring: index of the trace that rings the selected trial}
let selected = null; // number of a trial

function ring() {
  const marker = { size: 20, symbol: "circle-open", color: themeColour("--ink"), line: { width: 2.5 } };
  return { x: [], y: [], mode: "markers", type: "scatter", marker, hoverinfo: "skip", showlegend: false };
}

function placesOf(traces) {
  const places = new Map();
  for (const trace of traces) {
    if (trace.mode !== "markers" || !trace.customdata) continue;
    trace.customdata.forEach((trial, i) => places.set(trial, { x: trace.x[i], y: trace.y[i] }));
  }
  return places;
}

function drawStudyFigure(figure) {
  const places = placesOf(figure.data);
  const div = drawFigure(figure, ...(places.size ? [ring()] : []));
  div.on("plotly_click", (event) => {
    const trial = event.points[0].customdata;
    if (trial !== undefined && trial !== null) select(trial);
  });
  if (places.size) plots.push({ div, places, ring: figure.data.length });
}

function ringSelected() {
  for (const { div, places, ring: trace } of plots) {
    const place = places.get(selected);
    Plotly.restyle(div, { x: [place ? [place.x] : []], y: [place ? [place.y] : []] }, [trace]);
  }
}

// Tables ------------------------------------------------------------------------------------------------------------

function compare(column, down) {
  const number = study.columns[column].number;
  return (a, b) => {
    const x = number ? study.rows[a].values[column] : study.rows[a].texts[column];
    const y = number ? study.rows[b].values[column] : study.rows[b].texts[column];
    const noX = x === null || x === "", noY = y === null || y === "";
    if (noX || noY) return noX - noY || a - b; // missing values come last in both directions
    return (number ? x - y : x.localeCompare(y)) * (down ? -1 : 1) || a - b;
  };
}

function drawTable(table, columns, trials, limit) {
  const state = { sorted: null, down: false, limit };
  const head = element("tr"), body = element("tbody");
  columns.forEach((column) => {
    const { label, number } = study.columns[column];
    const button = element("button", { type: "button" }, label);
    const cell = element("th", number ? { class: "number", scope: "col" } : { scope: "col" }, button);
    button.addEventListener("click", () => {
      state.down = state.sorted === column && !state.down;
      state.sorted = column;
      for (const other of head.children) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      state.refresh();
    });
    head.append(cell);
  });
  table.replaceChildren(element("thead", {}, head), body);
  state.refresh = () => {
    const order = state.sorted === null ? trials() : [...trials()].sort(compare(state.sorted, state.down));
    body.replaceChildren(...order.slice(0, state.limit).map((trial) => drawRow(trial, columns)));
    if (state.after) state.after(order.length);
  };
  state.refresh();
  return state;
}

function drawRow(trial, columns) {
  const row = element("tr", { "data-trial": trial, tabindex: "0" });
  for (const column of columns) {
    const { number, key } = study.columns[column];
    row.append(element("td", number ? { class: "number" } : { class: key }, study.rows[trial].texts[column]));
  }
  row.classList.toggle("selected", trial === selected);
  row.addEventListener("click", () => select(trial));
  row.addEventListener("keydown", (event) => { if (event.key === "Enter") select(trial); });
  return row;
}

function drawTables() {
  const all = study.columns.map((_, index) => index);
  const inFront = all.filter((index) => study.columns[index].front);
  if (study.front.length) drawTable(byId("front"), inFront, () => study.front, Infinity);
  else byId("front-section").hidden = true;

  const numbers = study.rows.map((_, trial) => trial);
  const filter = byId("filter"), more = byId("more");
  const matching = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    return numbers.filter((trial) => {
      const text = study.rows[trial].texts.join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
  };
  const full = drawTable(byId("trials"), all, matching, MAX_ROWS);
  full.after = (count) => {
    byId("shown").textContent = `${count.toLocaleString("en")} of ${numbers.length.toLocaleString("en")} trial${numbers.length === 1 ? "" : "s"}`;
    more.hidden = count <= full.limit;
    more.textContent = `Show all ${count.toLocaleString("en")}`;
  };
  filter.addEventListener("input", () => { full.limit = MAX_ROWS; full.refresh(); });
  more.addEventListener("click", () => { full.limit = Infinity; full.refresh(); });
  full.refresh();
}

// Channel graphs ----------------------------------------------------------------------------------------------------

function showDependency(div, output) {
  const { first, last, groups, dependencies } = div.layout.meta;
  const index = groups.findIndex((outputs) => outputs.includes(output));
  if (index < 0) return;
  const traces = dependencies[index].map((_, i) => first + i), total = div.layout.meta.outputs;
  const x = dependencies[index].map((path) => path.x);
  const at = (output + 0.5) / total; // edges into the last column end at the output itself
  const y = dependencies[index].map((path) => path.y.map((value, i) => (path.x[i] === last ? at : value)));
  Plotly.restyle(div, { x, y }, traces);
}

function drawBlock(entry) {
  const heading = element("h3", {}, capitalised(entry.title), element("span", {}, entry.path));
  const figure = element("figure", { class: "block-graph" }, heading);
  byId("channels").append(figure);
  const picture = study.channels.pictures[entry.picture], div = element("div");
  const more = [entry.outside, picture && picture.note].filter(Boolean).join(" ");
  const caption = element("figcaption", {}, element("b", {}, entry.reach), ` ${more}`);
  figure.append(...(picture ? [div, caption] : [caption]));
  if (!picture) return;
  const { data, layout } = structuredClone(picture); // plotly changes the objects that it draws
  plot(div, data, layout, { displayModeBar: false });
  div.on("plotly_hover", (event) => {
    const output = event.points[0].customdata;
    if (output !== undefined && output !== null) showDependency(div, output);
  });
}

function drawChannels(trial) {
  const entries = study.channels.trials[trial] || [];
  for (const div of document.querySelectorAll("#channels .js-plotly-plot")) Plotly.purge(div);
  byId("channels").replaceChildren();
  byId("channels-section").hidden = !entries.length;
  byId("channels-title").textContent = `Channel graphs of trial ${trial}`;
  byId("channels-about").textContent = study.channels.about;
  entries.forEach(drawBlock);
}

// Classes -----------------------------------------------------------------------------------------------------------

function plainTable(caption, heads, rows) {
  const cells = (tag, texts) => texts.map((text, i) => element(tag, i === texts.length - 1 || heads[i] === "images" ? { class: "number" } : {}, text));
  const body = element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells("td", row))));
  return element("table", {}, element("caption", {}, caption), element("thead", {}, element("tr", {}, ...cells("th", heads))), body);
}

function drawClasses(trial) {
  const entry = study.classes[trial], parts = [];
  for (const div of document.querySelectorAll("#classes .js-plotly-plot")) Plotly.purge(div);
  byId("classes-section").hidden = !entry;
  byId("classes").replaceChildren();
  if (!entry) return;
  byId("classes-title").textContent = `Classes of trial ${trial}`;
  byId("classes-about").textContent = entry.summary;
  const div = element("div");
  if (entry.figure) parts.push(element("figure", { class: "confusion" }, element("h3", {}, "Confusion matrix"), div));
  parts.push(plainTable("Recall, the lowest first", ["class", "images", "recall"], entry.recalls));
  if (entry.confusions.length) parts.push(plainTable("Most frequent confusions", ["class", "taken for", "images"], entry.confusions));
  byId("classes").append(...parts);
  if (!entry.figure) return;
  const { data, layout } = structuredClone(entry.figure); // plotly changes the objects that it draws
  if (matchMedia("(prefers-color-scheme: dark)").matches) data[0].textfont = { color: themeColour("--ink") };
  div.style.height = `${Math.min(720, 200 + 28 * data[0].y.length)}px`;
  plot(div, data, layout, { displayModeBar: false });
}

// The selected trial ------------------------------------------------------------------------------------------------

function architectureOf(trial) {
  const entry = study.architectures[trial];
  if (!entry) return null;
  const { frame, stages, parts, note } = entry;
  return {
    plain: stages === null ? study.frames[frame] : { ...study.frames[frame], stages: stages.map((i) => study.stages[i]) },
    parts: parts.map((i) => study.parts[i]),
    note: note === undefined ? "" : study.notes[note],
  };
}

function drawPart(part) {
  if (!part.mixer) {
    const step = element("div", { class: "step" }, element("b", {}, part.title), ` ${part.shape}`);
    step.append(...part.layers.map((layer) => element("div", { class: "layer" }, layer.filter(Boolean).join(" "))));
    return step;
  }
  const block = element("div", { class: "block" });
  part.layers.forEach(([name, options], index) => block.append(
    element("span", { class: "depth" }, index ? "" : `${part.depth} ×`),
    element("b", {}, name),
    element("span", { class: "options" }, options),
  ));
  const top = element("div", { class: "top" }, element("b", {}, part.title), element("span", {}, part.shape));
  const transition = part.transition ? [element("div", { class: "transition" }, part.transition)] : [];
  const stage = element("div", { class: "stage" }, top, ...transition, block, element("div", { class: "notes" }, part.notes));
  stage.style.setProperty("--mixer", study.colours[part.mixer]);
  return stage;
}

function drawNetwork({ parts, note }) {
  const network = element("div", { class: "network" }, ...(note ? [element("p", { class: "note" }, note)] : []));
  parts.forEach((part, index) => {
    if (index) network.append(element("div", { class: "arrow" }));
    network.append(drawPart(part));
  });
  return network;
}

function drawCurve(values) {
  const finite = values.filter((value) => value !== null);
  if (finite.length < 2) return "";
  const low = Math.min(...finite), height = (Math.max(...finite) - low) || 1;
  const points = values.map((value, i) => value === null ? "" : `${(100 * i) / (values.length - 1)},${38 - (36 * (value - low)) / height}`);
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg"), line = document.createElementNS(namespace, "polyline");
  svg.setAttribute("viewBox", "0 0 100 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "curve");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `validation accuracy over ${values.length} epochs`);
  line.setAttribute("points", points.join(" "));
  svg.append(line);
  return svg;
}

function copyButton(text) {
  const button = element("button", { type: "button", class: "plain" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed here";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return button;
}

function drawPanel(trial) {
  const row = study.rows[trial];
  const values = element("dl", { class: "values" });
  study.columns.forEach((column, index) => {
    if (column.key !== "trial" && row.texts[index] && row.texts[index] !== "–")
      values.append(element("dt", {}, column.label), element("dd", {}, row.texts[index]));
  });
  const marks = [study.front.includes(trial) ? "on the front" : "", trial === study.best ? "best" : ""].filter(Boolean);
  const title = `Trial ${trial}${marks.length ? ` (${marks.join(", ")})` : ""}`;
  const parts = [element("h2", {}, title), values, row.curve ? drawCurve(row.curve) : ""];
  const architecture = architectureOf(trial);
  if (architecture) {
    const text = JSON.stringify(architecture.plain, null, 2);
    const json = element("details", {}, element("summary", {}, "JSON of the architecture"), copyButton(text), element("pre", {}, text));
    parts.push(drawNetwork(architecture), json);
    if (row.texts[1] === "complete") {
      const command = `${study.export} ${trial} --out model-${trial}`;
      parts.push(element("div", { class: "command" }, element("code", {}, command), copyButton(command)));
    }
  }
  byId("panel").replaceChildren(...parts);
}

function select(trial) {
  selected = trial;
  drawPanel(trial);
  drawClasses(trial);
  drawChannels(trial);
  for (const row of document.querySelectorAll("tr[data-trial]")) row.classList.toggle("selected", Number(row.dataset.trial) === trial);
  ringSelected();
}

byId("nothing").hidden = study.figures.length > 0;
study.figures.forEach(drawStudyFigure);
drawTables();
if (study.best !== null) select(study.best);
document.addEventListener("themechange", () => {
  for (const { div, ring: trace } of plots) Plotly.restyle(div, { "marker.color": themeColour("--ink") }, [trace]);
  drawClasses(selected);
});
