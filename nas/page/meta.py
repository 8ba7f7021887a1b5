"""What a page says about a study in words: its data, its search, its versions and machines."""

from __future__ import annotations

from typing import Any

from nas.analysis.study_text import dataset_line, environment_lines, search_line
from nas.page.data import data_summary
from nas.study.info import StudyInfo


def study_meta(info: StudyInfo) -> dict[str, Any]:
    """The texts and settings of a study as plain JSON."""
    return {
        "lines": [dataset_line(info), search_line(info), *environment_lines(info)],
        "config": info.config,
        "dataset": info.dataset,
        "data": data_summary(info.dataset),
        "space_size": None if info.space_size is None else str(info.space_size),
        "target": info.attributes.get("target") or {"trials": info.config.get("trials")},
        "end_reason": info.end_reason,
    }
