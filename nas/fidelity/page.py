"""The page of a fidelity run: one self-contained HTML file that opens offline, in the shell of all pages (`nas.html`)."""

from __future__ import annotations

import html
from pathlib import Path

from nas import html as pages
from nas.fidelity.figure import accuracy_figure, accuracy_info, cost_figure, cost_info, rank_figure
from nas.fidelity.tables import cost_text, interval_text, label_text, number_text
from nas.fidelity.values import Findings
from nas.fidelity.verdict import verdict
from nas.figures import PLOTLY_CONFIG
from nas.formatting import MISSING, count, duration, ratio, si

FILE = "fidelity.html"

_STYLE = "td:first-child { white-space: normal; }\n"
_METHOD = (
    "Each row is one way to rank the architectures. Correlations are with the mean accuracy of the large budget over its seeds."
    " A row stands for one training (or one score) of each architecture and gives the mean over seeds; the large budget's own"
    " row compares one of its trainings with the mean of the others."
    " Brackets: 95 % intervals by bootstrap over architectures. Upper half: Kendall's tau among the better half of the"
    " architectures. Loss: the proxy's tau on the same architectures minus this tau."
)


def write(findings: Findings, file: Path) -> Path:
    """Write the page of `findings` to `file`; an existing file is replaced whole or not at all."""
    return pages.write_page(_page(findings), file)


def render(findings: Findings) -> str:
    """The whole HTML document."""
    return pages.render(_page(findings))


def _page(findings: Findings) -> pages.Page:
    about = (
        f"{findings.dataset}: {count(len(findings.points), 'architecture')} spread over the costs of the space,"
        f" {count(findings.seeds, 'seed')} at each budget. The study's proxy has"
        f" {count(findings.noise['proxy'].epochs, 'epoch')}, the large budget {findings.noise['large'].epochs};"
        f" one training of the proxy takes {duration(findings.proxy_s)}."
    )
    accuracies = accuracy_info(findings)
    figures = [
        pages.figure_record("correlation over cost", cost_figure(cost_info(findings)), wide=True),
        pages.figure_record("accuracy: large budget against proxy", accuracy_figure(accuracies)),
        pages.figure_record("rank: large budget against proxy", rank_figure(accuracies)),
    ]
    return pages.Page(
        title=f"Fidelity of {findings.study}",
        header=f"<p>{html.escape(about)}</p>\n{pages.fact_list(_facts(findings))}",
        body=_body(findings),
        data={"figures": figures, "config": PLOTLY_CONFIG},
        style=_STYLE,
    )


def _body(findings: Findings) -> str:
    sections = [
        pages.item_list(verdict(findings)),
        '<section id="figures" aria-label="Figures"></section>',
        _section("Ways of ranking", _proxies_table(findings), about=_METHOD),
        _section("Noise", _noise_table(findings)),
        _section("Architectures", _points_table(findings)),
    ]
    if findings.notes:
        sections.append(_section("Left out", pages.item_list(findings.notes)))
    return "<main>\n" + "\n".join(sections) + "\n</main>"


def _section(title: str, content: str, about: str = "") -> str:
    paragraph = f'<p class="about">{html.escape(about)}</p>' if about else ""
    return f'<section><h2>{html.escape(title)}</h2>{paragraph}<div class="scroll">{content}</div></section>'


def _facts(findings: Findings) -> list[pages.Fact]:
    """The correlations and the noise of both budgets."""
    noise = findings.noise
    facts = []
    for name, label in (("proxy", "tau of the proxy"), ("large", f"tau of {noise['large'].epochs} epochs, one seed")):
        proxy = findings.proxy(name)
        if proxy is not None:
            low, high = number_text(proxy.kendall.low), number_text(proxy.kendall.high)
            note = f"{low} to {high}; rho {number_text(proxy.spearman.value)}"
            facts.append(pages.Fact(label, number_text(proxy.kendall.value), note))
    for name, label in (("proxy", "noise of the proxy"), ("large", f"noise of {noise['large'].epochs} epochs")):
        note = f"points of accuracy; the architectures differ by {number_text(noise[name].spread)}"
        facts.append(pages.Fact(label, number_text(noise[name].deviation.value), note))
    return facts


def _proxies_table(findings: Findings) -> str:
    rows = [
        [
            label_text(findings, proxy),
            cost_text(proxy),
            *(interval_text(estimate) for estimate in (proxy.kendall, proxy.spearman, proxy.upper)),
            MISSING if proxy.family == "proxy" else interval_text(proxy.loss),
        ]
        for proxy in findings.proxies
    ]
    return pages.table(["ranked by", "cost", "Kendall tau", "Spearman rho", "upper half", "loss"], rows)


def _noise_table(findings: Findings) -> str:
    rows = [
        [
            count(noise.epochs, "epoch"),
            interval_text(noise.deviation),
            number_text(noise.spread),
            interval_text(noise.repeat),
        ]
        for noise in findings.noise.values()
    ]
    heads = ["budget", "noise of one training, points", "spread of architectures, points", "tau of two trainings"]
    return pages.table(heads, rows)


def _points_table(findings: Findings) -> str:
    rows = [
        [
            " → ".join(point.mixers),
            si(point.macs),
            si(point.params),
            *(", ".join(map(ratio, values)) or MISSING for values in (point.proxy, point.large)),
            point.id,
        ]
        for point in findings.points
    ]
    heads = ["mixers", "MACs", "parameters", "accuracy of the proxy", "accuracy of the large budget", "id"]
    return pages.table(heads, rows)
