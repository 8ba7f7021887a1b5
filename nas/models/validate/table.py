"""A validation in the terminal."""

from __future__ import annotations

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from nas.formatting import count, printable, ratio, si
from nas.models.validate.record import TRAINED_NOTE, Validation

MAX_LISTED = 8
"""Classes with the lowest recall, and confusions, that are listed."""


def validation_table(validation: Validation) -> Table:
    """The numbers of `validation`, a row for each."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False, title_justify="left", pad_edge=False)
    table.title = Text(f"{printable(validation.model)} on {printable(validation.data)}", "table.title")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    low, high = validation.top1_interval
    throughput = validation.throughput
    rows = [
        ("images", f"{count(validation.images, 'image')} ({validation.split})"),
        ("top-1 accuracy", f"{ratio(validation.top1)} (95 % interval {ratio(low)} to {ratio(high)})"),
        ("top-5 accuracy", ratio(validation.top5)),
        ("balanced accuracy", ratio(validation.confusion.balanced_accuracy)),
        ("loss", ratio(validation.loss)),
        ("calibration error", ratio(validation.calibration.ece)),
        (
            "throughput",
            f"{si(throughput.images_per_s, 'images/s')} (batch size {throughput.batch_size}, {validation.device})",
        ),
        ("lowest recall", _lowest_recalls(validation)),
        ("confusions", _confusions(validation)),
    ]
    if validation.may_have_trained:
        rows.append(("note", TRAINED_NOTE))
    if validation.skipped:
        rows.append(("left out", f"{count(len(validation.skipped), 'image')}: {validation.skipped[0]}"))
    for label, text in rows:
        table.add_row(label, Text(printable(text)))
    return table


def _lowest_recalls(validation: Validation) -> str:
    recalls = validation.confusion.recalls
    order = np.argsort(recalls, kind="stable")[: min(MAX_LISTED, int(np.isfinite(recalls).sum()))]
    return ", ".join(f"{validation.class_names[i]!r}: {ratio(float(recalls[i]))}" for i in order)


def _confusions(validation: Validation) -> str:
    names, confusion = validation.class_names, validation.confusion
    pairs = zip(confusion.pairs[:MAX_LISTED].tolist(), confusion.counts.tolist(), strict=False)
    return ", ".join(f"{names[true]!r} as {names[other]!r}: {images}" for (true, other), images in pairs) or "none"
