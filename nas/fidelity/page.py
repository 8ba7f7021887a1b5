"""The page of a fidelity run: one HTML file that opens anywhere, offline, and asks nothing of any network.

It looks as the report of a study does. Text from outside (names, reasons of failure) is escaped.
"""

from __future__ import annotations

import html
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from nas.fidelity.figure import accuracy_figure, accuracy_info, cost_figure, cost_info, rank_figure
from nas.fidelity.tables import cost_text, interval, label_text, value
from nas.fidelity.values import Findings
from nas.fidelity.verdict import verdict
from nas.figures import PLOTLY_CONFIG
from nas.formatting import MISSING, count, duration, ratio, si
from nas.report import embedded
from trainers.files import replacing

FILE = "fidelity.html"

_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval';
 style-src 'unsafe-inline'; img-src data: blob:">
<title>$title</title>
<style>
$style
main { max-width: 1680px; margin: 0 auto; }
.said { max-width: 110ch; }
th { padding: .3rem .5rem; }
td:first-child { white-space: normal; }
</style>
</head>
<body>
<noscript>The figures of this page are drawn by its own script; allow scripts for this file to see them.</noscript>
<header>
  <h1>$title</h1>
  <p>$about</p>
  <dl class="facts">
$facts
  </dl>
</header>
<main>
  <ul class="said">
$said
  </ul>
  <section id="figures" aria-label="Figures"></section>
  <section>
    <h2>Ways of ranking</h2>
    <p class="about">$method</p>
    <div class="scroll">$proxies</div>
  </section>
  <section>
    <h2>Noise</h2>
    <div class="scroll">$noise</div>
  </section>
  <section>
    <h2>Architectures</h2>
    <div class="scroll">$points</div>
  </section>
$notes
</main>
<script>$plotly</script>
<script id="data" type="application/json">$data</script>
<script>
"use strict";
const page = JSON.parse(document.getElementById("data").textContent);
function themed() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue(name).trim();
  const update = { "font.color": get("--soft"), "hoverlabel.bgcolor": get("--card"), "hoverlabel.font.color": get("--ink") };
  for (const axis of ["xaxis", "yaxis"]) update[axis + ".gridcolor"] = get("--grid");
  return update;
}
for (const figure of page.figures) {
  const div = document.createElement("div"), heading = document.createElement("h3"), frame = document.createElement("figure");
  heading.textContent = figure.title;
  frame.className = figure.wide ? "figure wide" : "figure";
  frame.append(heading, div);
  document.getElementById("figures").append(frame);
  Plotly.newPlot(div, figure.data, figure.layout, page.config).then(() => Plotly.relayout(div, themed()));
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const div of document.querySelectorAll(".js-plotly-plot")) Plotly.relayout(div, themed());
});
</script>
</body>
</html>
""")

_METHOD = (
    "Each row ranks the architectures in its own way; the correlations are with the mean accuracy of the large budget over its"
    " seeds. A row is one training (or one score) of each architecture, the mean over seeds; the large budget itself is one"
    " of its trainings with the mean of the others. Brackets: 95 % intervals by bootstrap over architectures. Upper half:"
    " Kendall's tau among the better half. Lost: by how much the proxy's tau on the same architectures is higher."
)


def write(found: Findings, file: Path) -> Path:
    """Write the page to `file`; all of it or nothing."""
    text = page(found)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as draft:
        draft.write_text(text, encoding="utf-8")
    return file


def page(found: Findings) -> str:
    """The whole page."""
    about = (
        f"{found.dataset}: {count(len(found.points), 'architecture')} over the costs of the space,"
        f" {count(found.seeds, 'seed')} at each budget; {count(found.noise['proxy'].epochs, 'epoch')}, the study's proxy,"
        f" against {found.noise['large'].epochs}; {duration(found.proxy_s)} a training of the proxy"
    )
    accuracies = accuracy_info(found)
    figures = [
        _figure("Correlation over cost", cost_figure(cost_info(found)), wide=True),
        _figure("Accuracy: the large budget over the proxy", accuracy_figure(accuracies)),
        _figure("Places: the large budget over the proxy", rank_figure(accuracies)),
    ]
    return _PAGE.substitute(
        title=html.escape(f"Fidelity of {found.study}"),
        about=html.escape(about),
        facts="\n".join(_facts(found)),
        said=_items(verdict(found)),
        method=html.escape(_METHOD),
        proxies=_proxies(found),
        noise=_noise(found),
        points=_points(found),
        notes=f'<section><h2>Left out</h2><ul class="said">{_items(list(found.notes))}</ul></section>'
        if found.notes
        else "",
        style=resources.files("nas.report").joinpath("page.css").read_text(encoding="utf-8"),
        plotly=get_plotlyjs(),
        data=embedded({"figures": figures, "config": PLOTLY_CONFIG}),
    )


def _figure(title: str, figure: go.Figure, wide: bool = False) -> dict[str, Any]:
    plain = figure.to_plotly_json()
    return {"title": title, "wide": wide, "data": plain["data"], "layout": plain["layout"]}


def _facts(found: Findings) -> list[str]:
    """The numbers on top."""
    noise = found.noise
    facts = []
    for name, label in (("proxy", "the proxy's tau"), ("large", f"{noise['large'].epochs} epochs' own tau")):
        proxy = found.named(name)
        if proxy is not None:
            low, high = value(proxy.kendall.low), value(proxy.kendall.high)
            facts.append((value(proxy.kendall.value), label, f"{low} to {high}; rho {value(proxy.spearman.value)}"))
    for name, label in (("proxy", "noise of the proxy"), ("large", f"noise of {noise['large'].epochs} epochs")):
        one = noise[name]
        facts.append((value(one.deviation.value), label, f"points; the architectures differ by {value(one.spread)}"))
    return [
        f'<div class="fact"><dt>{html.escape(label)}</dt><dd>{html.escape(text)}<small>{html.escape(note)}</small></dd></div>'
        for text, label, note in facts
    ]


def _items(lines: list[str]) -> str:
    return "\n".join(f"<li>{html.escape(line)}</li>" for line in lines)


def _proxies(found: Findings) -> str:
    rows = [
        [
            label_text(found, proxy),
            cost_text(proxy),
            *(interval(estimate) for estimate in (proxy.kendall, proxy.spearman, proxy.upper)),
            MISSING if proxy.family == "proxy" else interval(proxy.loss),
        ]
        for proxy in found.proxies
    ]
    return _table(["ranked by", "cost", "Kendall tau", "Spearman rho", "upper half", "lost"], rows)


def _noise(found: Findings) -> str:
    rows = [
        [count(noise.epochs, "epoch"), interval(noise.deviation), value(noise.spread), interval(noise.repeat)]
        for noise in found.noise.values()
    ]
    heads = ["budget", "noise of one training, points", "spread of architectures, points", "tau of two trainings"]
    return _table(heads, rows)


def _points(found: Findings) -> str:
    rows = [
        [
            " → ".join(point.mixers),
            si(point.macs),
            si(point.params),
            *(", ".join(map(ratio, values)) or MISSING for values in (point.proxy, point.large)),
            point.id,
        ]
        for point in found.points
    ]
    heads = ["mixers", "MACs", "parameters", "accuracy of the proxy", "of the large budget", "id"]
    return _table(heads, rows)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""

    def cells(tag: str, texts: list[str]) -> str:
        kinds = ["", *[' class="number"'] * (len(texts) - 1)]
        return "".join(f"<{tag}{kind}>{html.escape(text)}</{tag}>" for kind, text in zip(kinds, texts, strict=True))

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells('th', heads)}</tr></thead><tbody>\n{body}\n</tbody></table>"
