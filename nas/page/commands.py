"""Commands and Python lines for one trial, ready to copy."""

from __future__ import annotations

import json
from pathlib import Path

from nas.formatting import shell_path
from nas.study.trials import AnyTrial, outcome_name


def trial_commands(trial: AnyTrial, folder: Path | None) -> list[list[str]]:
    """What to do with `trial`, as pairs of a label and a text; a model is there only for a completed trial.

    Args:
        trial: the trial.
        folder: of its study; None: the study has none, and so no command applies.
    """
    if folder is None:
        return []
    number, study = trial.number, f"study = Study.open({_quoted(str(folder))})"
    if outcome_name(trial) != "completed":
        lines = f"from nas import Study\n\n{study}\ntrial = study.results().trial({number})"
        return [["Show", f"nas show {shell_path(folder)} {number}"], ["Python", lines]]
    model = f"model-{number}"
    exported = f"from nas import Study, export\n\n{study}\nexport(study, {number}, {_quoted(model)})"
    loaded = f"import search_space, timm\n\nmodel = timm.create_model({_quoted(f'local-dir:{model}')}, pretrained=True)"
    return [
        ["Show", f"nas show {shell_path(folder)} {number}"],
        ["Export", f"nas export {shell_path(folder)} {number} --out {model}"],
        ["Export in Python", exported],
        ["Load with timm", loaded],
    ]


def _quoted(text: str) -> str:
    """A Python string; bytes of a path that are no UTF-8 are escaped."""
    return json.dumps(text, ensure_ascii=not text.isprintable())
