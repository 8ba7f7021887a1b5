"""The page of a validation: one self-contained HTML file that opens offline, in the shell of all pages (`nas.html`)."""

from __future__ import annotations

import html
import math
from pathlib import Path

import plotly.graph_objects as go

from nas import html as pages
from nas.figures import PLOTLY_CONFIG
from nas.figures.confusion import confusion_figure, confusion_info
from nas.figures.plot import COLOURS, MIDDLE_GREY, apply_style
from nas.formatting import MISSING, count, ratio, si
from nas.models.validate.record import TRAINED_NOTE, Calibration, Validation

MAX_DRAWN_CLASSES = 200
"""With more classes, the matrix is a blur: the table of confusions says it."""
MAX_CONFUSIONS = 20
"""The most frequent confusions, which are listed."""


def write(validation: Validation, file: Path) -> Path:
    """Write the page of `validation` to `file`; an existing file is replaced whole or not at all."""
    return pages.write_page(_page(validation), file)


def reliability_figure(calibration: Calibration) -> go.Figure:
    """Accuracy by confidence: a bar for each bin, beside the diagonal of a perfect calibration."""
    bins = len(calibration.counts)
    known = [i for i, value in enumerate(calibration.accuracies) if not math.isnan(value)]
    figure = go.Figure()
    apply_style(figure)
    figure.add_trace(
        go.Bar(
            x=[(i + 0.5) / bins for i in known],
            y=[calibration.accuracies[i] for i in known],
            width=1 / bins,
            customdata=[[calibration.counts[i], calibration.confidences[i]] for i in known],
            marker={"color": COLOURS[0], "line": {"width": 0}},
            name="accuracy",
            hovertemplate="%{customdata[0]} images<br>confidence %{customdata[1]:.3f}<br>accuracy %{y:.3f}<extra></extra>",
        )
    )
    line = {"color": MIDDLE_GREY, "dash": "dot"}
    figure.add_trace(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", name="calibrated", hoverinfo="skip", line=line))
    figure.update_xaxes(title_text="confidence", range=[0, 1])
    figure.update_yaxes(title_text="accuracy", range=[0, 1])
    figure.update_layout(margin={"l": 64, "r": 16, "t": 16, "b": 52})
    return figure


def _page(validation: Validation) -> pages.Page:
    size = "x".join(map(str, validation.input_shape))
    about = (
        f"{validation.data}, {validation.split}: {count(validation.images, 'image')} of {size}, on {validation.device}."
    )
    if validation.may_have_trained:
        about += f" Note: {TRAINED_NOTE}."
    figures = [pages.figure_record("reliability", reliability_figure(validation.calibration))]
    if len(validation.class_names) <= MAX_DRAWN_CLASSES:
        matrix = confusion_figure(confusion_info(validation.confusion, list(validation.class_names)))
        figures.append(pages.figure_record("confusion matrix", matrix))
    return pages.Page(
        title=f"Validation of {validation.model}",
        header=f"<p>{html.escape(about)}</p>\n{pages.fact_list(_facts(validation))}",
        body=_body(validation),
        data={"figures": figures, "config": PLOTLY_CONFIG},
    )


def _facts(validation: Validation) -> list[pages.Fact]:
    low, high = validation.top1_interval
    throughput = validation.throughput
    facts = [
        pages.Fact("top-1 accuracy", ratio(validation.top1), f"95 % interval {ratio(low)} to {ratio(high)}"),
        pages.Fact("top-5 accuracy", ratio(validation.top5), f"of {len(validation.class_names)} classes"),
        pages.Fact("balanced accuracy", ratio(validation.confusion.balanced_accuracy), "mean recall of the classes"),
        pages.Fact(
            "calibration error",
            ratio(validation.calibration.ece),
            f"expected, {len(validation.calibration.counts)} bins",
        ),
    ]
    note = f"batch size {throughput.batch_size}, {count(throughput.threads, 'thread')}"
    return [*facts, pages.Fact("throughput", si(throughput.images_per_s, "images/s"), note)]


def _body(validation: Validation) -> str:
    names, confusion = validation.class_names, validation.confusion
    classes = [
        [name, str(total), str(predicted), MISSING if math.isnan(recall) else ratio(recall)]
        for name, total, predicted, recall in zip(
            names, confusion.totals.tolist(), confusion.predicted.tolist(), confusion.recalls.tolist(), strict=True
        )
    ]
    pairs = list(zip(confusion.pairs.tolist(), confusion.counts.tolist(), strict=True))[:MAX_CONFUSIONS]
    confusions = [[f"{names[true]} taken for {names[other]}", str(images)] for (true, other), images in pairs]
    sections = [
        '<section id="figures" aria-label="Figures"></section>',
        _section("Most frequent confusions", pages.table(["classes", "images"], confusions)) if confusions else "",
        _section("Classes", pages.table(["class", "images", "predicted", "recall"], classes)),
        _section("Left out", pages.item_list(validation.skipped)) if validation.skipped else "",
    ]
    return "<main>\n" + "\n".join(filter(None, sections)) + "\n</main>"


def _section(title: str, content: str) -> str:
    return f'<section><h2>{html.escape(title)}</h2><div class="scroll">{content}</div></section>'
