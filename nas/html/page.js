"use strict";
// The script that all pages share. All text from the data enters the document as text nodes, never as markup.

const pageData = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const capitalised = (text) => text[0].toUpperCase() + text.slice(1);
let webgl = null; // whether the browser has WebGL, once asked: without it, many points are drawn as SVG

function element(tag, attributes = {}, ...children) {
  const created = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) created.setAttribute(name, value);
  created.append(...children);
  return created;
}

// Colours of the theme ------------------------------------------------------------------------------------------------

function themeColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function applyTheme(div) {
  const layout = {
    "font.color": themeColour("--soft"),
    "hoverlabel.bgcolor": themeColour("--card"),
    "hoverlabel.font.color": themeColour("--ink"),
    "modebar.color": themeColour("--soft"),
    "modebar.activecolor": themeColour("--accent"),
  };
  for (const axis of ["xaxis", "yaxis"]) layout[`${axis}.gridcolor`] = themeColour("--grid");
  return Plotly.relayout(div, layout);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const div of document.querySelectorAll(".js-plotly-plot")) applyTheme(div);
  document.dispatchEvent(new Event("themechange"));
});

// Figures -------------------------------------------------------------------------------------------------------------

function hasWebgl() {
  webgl ??= document.createElement("canvas").getContext("webgl") !== null;
  return webgl;
}

function drawable(trace) {
  return trace.type === "scattergl" && !hasWebgl() ? { ...trace, type: "scatter" } : trace;
}

function plot(div, traces, layout, config = {}) {
  Plotly.newPlot(div, traces.map(drawable), layout, { ...pageData.config, ...config }).then(() => applyTheme(div));
}

function drawFigure(figure, ...furtherTraces) {
  const div = element("div");
  const heading = element("h3", {}, capitalised(figure.title));
  byId("figures").append(element("figure", { class: figure.wide ? "figure wide" : "figure" }, heading, div));
  plot(div, [...figure.data, ...furtherTraces], figure.layout);
  return div;
}
