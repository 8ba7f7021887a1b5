"""The resources that a study's configuration gives its workers."""

from __future__ import annotations

from pydantic import ValidationError

from nas.study.config import Resources
from nas.study.content import StudyContent


def study_resources(study: StudyContent) -> Resources:
    """Those of the study's configuration; the defaults if another version wrote it, and this one cannot read them."""
    try:
        return Resources.model_validate(study.config.get("resources") or {})
    except ValidationError:
        return Resources()  # type: ignore[call-arg]
