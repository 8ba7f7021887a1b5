"""The retrained front of a study (`nas.analysis.retrained`) as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

from nas.analysis.retrained import proxy_correlation, retrained_models
from nas.study.retrained import RESULT, RETRAINED, read_retrained

Stamp: TypeAlias = tuple[tuple[str, int], ...]
"""Each record and the time at which it was written."""

NO_STAMP: Stamp = ()
"""That of a study without full trainings."""


def plain_retrained(folder: Path | None, fingerprint: str, proxy: Mapping[int, float]) -> dict[str, Any]:
    """The full trainings of the study in `folder` as plain JSON; empty lists if it has none.

    Args:
        folder: of the study; None for one without a folder.
        fingerprint: of the study's images; runs on others are left out.
        proxy: number of a trial -> its validation accuracy in the search.

    Returns:
        Keys:

        models     `RetrainedModel.to_dict`, by recipe
        recipes    [{"digest", "epochs", "settings": the recipe, "tau": rank correlation with the search, or null}]
        remarks    what could not be read, a sentence each
    """
    if folder is None:
        return no_retrained()
    found = read_retrained(folder)
    models = retrained_models(found.runs, fingerprint)
    recipes = []
    for digest, members in groupby(models, lambda model: model.first.recipe_digest):
        group = list(members)
        tau = proxy_correlation(group, proxy)
        run = group[0].first
        recipes.append(
            {
                "digest": digest,
                "epochs": len(run.epochs),
                "settings": dict(run.recipe),
                "tau": None if tau is None else tau.to_dict(),
            }
        )
    return {"models": [model.to_dict() for model in models], "recipes": recipes, "remarks": list(found.remarks)}


def no_retrained() -> dict[str, Any]:
    """What `plain_retrained` returns of a study without full trainings."""
    return {"models": [], "recipes": [], "remarks": []}


def retrained_stamp(folder: Path | None) -> Stamp:
    """What changes when a full training of the study in `folder` ends, found without reading a record."""
    if folder is None:
        return NO_STAMP
    try:
        files = sorted((folder / RETRAINED).glob(f"*/*/seed-*/{RESULT}"))
        return tuple((str(file), file.stat().st_mtime_ns) for file in files)
    except OSError:
        return NO_STAMP
