"""What the shell completes: folders of studies, numbers of trials, names of studies and presets. Nothing is written."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from itertools import chain, islice
from pathlib import Path

import typer

MAX_DEPTH = 3
"""Folders are offered if a study lies in them, or at most this deep below them."""
MAX_FOLDERS = 300
"""A folder with more folders at one depth is offered as it is: a shell waits for the answer."""


def complete_folder(incomplete: str) -> list[str]:
    """The folders that begin with `incomplete` and hold a study, or lead to one."""
    folders = [(text, path) for text, path in _entries(incomplete) if _is_shown_folder(path)]
    return [
        text if _holds_study(path) else f"{text}/"
        for text, path in folders
        if text.startswith(incomplete) and _leads_to_study(path)
    ]


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


def _entries(incomplete: str) -> list[tuple[str, Path]]:
    """The entries of the folder that `incomplete` names up to its last slash, each as the user would type it, and its path."""
    typed = incomplete[: incomplete.rfind("/") + 1]
    try:
        entries = sorted(Path(os.path.expanduser(typed or ".")).iterdir())  # noqa: PTH111 - `~x` where x is no user
    except OSError:
        return []
    return [(f"{typed}{entry.name}", entry) for entry in entries]


def _is_shown_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _holds_study(folder: Path) -> bool:
    from nas.study.layout import holds_study

    try:
        return holds_study(folder)
    except OSError:  # a folder that may not be read
        return False


def _leads_to_study(folder: Path) -> bool:
    """True if a study is in `folder` or below, or if there are too many folders to look into."""
    level = [folder]
    for _ in range(MAX_DEPTH):
        if len(level) > MAX_FOLDERS or any(map(_holds_study, level)):
            return True
        level = list(islice(chain.from_iterable(map(_folders_in, level)), MAX_FOLDERS + 1))
    return len(level) > MAX_FOLDERS or any(map(_holds_study, level))


def _folders_in(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if _is_shown_folder(path)]
    except OSError:
        return []


def _trial_numbers(folder: object) -> Iterable[str]:
    from nas.study.database.snapshot import check_no_views, copy_to_memory
    from nas.study.layout import DATABASE

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
    return [
        f"{text}/" if path.is_dir() else text
        for text, path in _entries(incomplete)
        if path.is_dir() or path.suffix in (".yaml", ".yml")
    ]
