"""What the shell completes: folders of studies, numbers of trials, names of studies and presets. Nothing is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import typer

MAX_DEPTH = 3
"""Folders are offered if a study lies in them, or at most this deep below them."""


def complete_folder(incomplete: str) -> list[str]:
    """The folders below `incomplete` that hold a study, or lead to one."""
    parent = Path(incomplete if incomplete.endswith("/") else incomplete.rpartition("/")[0] or ".")
    try:
        folders = sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []
    texts = [str(path) if _holds_study(path) else f"{path}/" for path in folders if _leads_to_study(path, MAX_DEPTH)]
    return [text for text in texts if text.startswith(incomplete)]


def complete_trial(context: typer.Context, incomplete: str) -> list[str]:
    """`best`, and the numbers of the trials of the study in the folder that was given."""
    words = ["best", *_trial_numbers(context.params.get("folder"))]
    return [word for word in words if word.startswith(incomplete)]


def complete_study(incomplete: str) -> list[str]:
    """Installed studies, and YAML files."""
    from nas.study.templates import installed_studies

    return [name for name in (*installed_studies(), *_yaml_files(incomplete)) if name.startswith(incomplete)]


def complete_study_or_folder(incomplete: str) -> list[str]:
    """Installed studies, YAML files, and folders of studies."""
    return [*complete_study(incomplete), *complete_folder(incomplete)]


def complete_preset(incomplete: str) -> list[str]:
    """The names of the presets."""
    from search_space import presets

    return [name for name in presets.names() if name.startswith(incomplete)]


def _holds_study(folder: Path) -> bool:
    from nas.study.layout import holds_study

    return holds_study(folder)


def _leads_to_study(folder: Path, depth: int) -> bool:
    if _holds_study(folder):
        return True
    try:
        inner = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")] if depth else []
    except OSError:
        return False
    return any(_leads_to_study(path, depth - 1) for path in inner)


def _trial_numbers(folder: object) -> Iterable[str]:
    from nas.study.layout import DATABASE
    from nas.study.snapshot import check_no_views, copy_to_memory

    if not isinstance(folder, str | Path) or not _holds_study(Path(folder)):
        return ()
    try:
        connection = copy_to_memory(Path(folder) / DATABASE)
        check_no_views(connection)
        rows = connection.execute("SELECT number FROM trials ORDER BY number").fetchall()
    except (sqlite3.DatabaseError, OSError):
        return ()
    return [str(number) for (number,) in rows]


def _yaml_files(incomplete: str) -> Iterable[str]:
    parent = Path(incomplete.rpartition("/")[0] or ("/" if incomplete.startswith("/") else "."))
    try:
        files = sorted(parent.iterdir())
    except OSError:
        return ()
    return [
        f"{file}/" if file.is_dir() else str(file)
        for file in files
        if file.is_dir() or file.suffix in (".yaml", ".yml")
    ]
