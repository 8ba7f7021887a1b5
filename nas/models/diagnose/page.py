"""The page of a diagnosis: one self-contained HTML file that opens offline, in the shell of all pages (`nas.html`)."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas import html as pages
from nas.figures import PLOTLY_CONFIG
from nas.figures.plot import COLOURS
from nas.formatting import si
from nas.models.diagnose.registry import Diagnosis, Drawing, Picture
from nas.models.diagnose.run import DiagnosisFindings
from nas.models.diagnose.tables import number_text, reason_lines, rows

FILE = "diagnosis.html"
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"

_STYLE = """\
td:first-child { white-space: normal; }
.figures { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.25rem; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem 1.5rem; margin: .75rem 0; }
.pictures figure { margin: 0; max-width: 100%; }
.pictures img { display: block; max-width: 100%; height: auto; border: 1px solid var(--line); image-rendering: pixelated; }
.pictures figcaption { max-width: 80ch; margin-top: .25rem; color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
.entries { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .75rem 0; }
.entries a { color: inherit; }
.entries .soft { color: var(--soft); }
.swatch { display: inline-block; width: .8em; height: .8em; margin-right: .4em; border-radius: 2px; }
@media (max-width: 760px) { .figures { grid-template-columns: minmax(0, 1fr); } }
"""
_SPLIT_NOTES = {
    "val": "A model may be chosen by these figures: the test images were not used, and still say how good the chosen one is.",
    "test": "These are test images. Who chooses between models by them should use validation images (--split val), so that"
    " the test images still say how good the chosen one is.",
}
_SCRIPT = """\
for (const [id, figures] of Object.entries(pageData.sections)) {
  for (const figure of figures) {
    const div = element("div");
    const heading = element("h3", {}, capitalised(figure.title));
    const note = figure.note ? [element("p", { class: "about" }, figure.note)] : [];
    byId(id).append(element("figure", { class: figure.wide ? "figure wide" : "figure" }, heading, ...note, div));
    plot(div, figure.data, figure.layout);
  }
}
"""


def write(findings: DiagnosisFindings, file: Path) -> Path:
    """Write the page of `findings` to `file`; an existing file is replaced whole or not at all."""
    return pages.write_page(_page(findings), file)


def render(findings: DiagnosisFindings) -> str:
    """The whole HTML document."""
    return pages.render(_page(findings))


def colours_of(findings: DiagnosisFindings) -> dict[str, str]:
    """The colour of each model by name, in the order in which the models were named."""
    return {model.name: COLOURS[index % len(COLOURS)] for index, model in enumerate(findings.models)}


def _page(findings: DiagnosisFindings) -> pages.Page:
    drawings = {
        diagnosis.name: _drawing(diagnosis, findings)
        for diagnosis in findings.diagnoses
        if findings.diagnosis_results(diagnosis)
    }
    about = [f"<p>{html.escape(line)}</p>" for line in _about(findings) if line]
    facts = [
        pages.Fact(model.name, number_text(model.accuracy), _costs(model.params, model.macs))
        for model in findings.models
    ]
    body = [_numbers(findings), *(_section(findings, diagnosis, drawings) for diagnosis in findings.diagnoses)]
    return pages.Page(
        title=f"Diagnosis of {', '.join(model.name for model in findings.models)}",
        header="\n".join([*about, pages.fact_list(facts), _legend(findings), _contents(findings)]),
        body="<main>\n" + "\n".join(body) + "\n</main>",
        data={
            "sections": {_id(name): list(drawing.figures) for name, drawing in drawings.items()},
            "config": PLOTLY_CONFIG,
        },
        style=_STYLE,
        script=_SCRIPT,
    )


def _about(findings: DiagnosisFindings) -> list[str]:
    images = findings.images
    height, width = images.size
    return [
        f"{images.description}: {width} x {height} pixels, {images.num_classes} classes; all models are given the same images.",
        _SPLIT_NOTES.get(images.part or "", ""),
    ]


def _drawing(diagnosis: Diagnosis[Any], findings: DiagnosisFindings) -> Drawing:
    return diagnosis.draw(findings.diagnosis_results(diagnosis), colours_of(findings), findings.images)


def _numbers(findings: DiagnosisFindings) -> str:
    table = pages.table(["", *(model.name for model in findings.models)], rows(findings))
    return f'<section id="numbers"><h2>Main numbers</h2><div class="scroll">{table}</div></section>'


def _section(findings: DiagnosisFindings, diagnosis: Diagnosis[Any], drawings: Mapping[str, Drawing]) -> str:
    drawing = drawings.get(diagnosis.name, Drawing())
    pictures = "\n".join(map(_picture, drawing.pictures))
    return "\n".join(
        [
            f'<section id="{diagnosis.name}"><h2>{html.escape(diagnosis.title)}</h2>',
            f'<p class="about">{html.escape(diagnosis.about)}</p>',
            f'<div class="figures" id="{_id(diagnosis.name)}"></div>' if drawing.figures else "",
            f'<div class="pictures">{pictures}</div>' if pictures else "",
            pages.item_list([*drawing.notes, *reason_lines(findings, diagnosis)]),
            "</section>",
        ]
    )


def _picture(picture: Picture) -> str:
    caption = html.escape(picture.caption)
    image = f'<img src="{picture.url}" width="{picture.width}" alt="{caption}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _legend(findings: DiagnosisFindings) -> str:
    """The colours of the models."""
    entries = "".join(
        f'<span class="entry"><span class="swatch" style="background: {colour}"></span>{html.escape(name)}</span>'
        for name, colour in colours_of(findings).items()
    )
    return f'<p class="entries">{entries}</p>'


def _contents(findings: DiagnosisFindings) -> str:
    """Links to the sections; a diagnosis that applies to none of the models is soft."""
    links = ['<a class="entry" href="#numbers">Main numbers</a>']
    for diagnosis in findings.diagnoses:
        soft = "" if findings.diagnosis_results(diagnosis) else " soft"
        links.append(f'<a class="entry{soft}" href="#{diagnosis.name}">{html.escape(diagnosis.title)}</a>')
    return f'<nav class="entries" aria-label="Contents">{"".join(links)}</nav>'


def _costs(params: int | None, macs: int | None) -> str:
    known = (("parameters", params), ("MACs", macs))
    values = [si(value, unit).replace(" ", NO_BREAK_SPACE) for unit, value in known if value is not None]
    return "; ".join(["accuracy", *values])


def _id(name: str) -> str:
    return f"figures-{name}"
