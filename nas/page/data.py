"""The data of a study as plain JSON: what they were taken for, the images of each class, leaks, and a contact sheet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.analysis.dataset_summary import SPLIT_NAMES, class_rows, leak_warnings, summary_rows
from nas.errors import StudyError
from nas.page.contact_sheet import ContactSheet
from nas.study.images import find_images
from nas.study.info import StudyInfo
from nas.study.layout import DATA


def data_summary(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The description of the images (`nas.study.dataset`) in words and numbers; empty for a study that does not record it."""
    if not dataset:
        return {"lines": [], "splits": [], "classes": [], "warnings": []}
    return {
        "lines": [row._asdict() for row in summary_rows(dataset)],
        "splits": list(SPLIT_NAMES.values()),
        "classes": [{"name": row.name, "counts": row.counts, "share": row.share} for row in class_rows(dataset)],
        "warnings": [f"{line}." for line in leak_warnings(dataset)],
    }


def study_contact_sheet(info: StudyInfo) -> dict[str, Any] | None:
    """The contact sheet of the study's decoded images; None if they are missing, as in a copied `study.db`."""
    file = None if info.folder is None else _images(info.folder, str(info.dataset.get("fingerprint")))
    return None if file is None else ContactSheet.of(file).to_dict()


def _images(folder: Path, fingerprint: str) -> Path | None:
    try:
        return find_images(folder / DATA, fingerprint)
    except StudyError:
        return None
