"""Checks that the folders of two parts of a data set hold the same classes, and names those that one of them lacks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from trainers.data.class_order import sort_classes
from trainers.errors import DataError

MAX_CLASSES_NAMED = 4
"""Classes that an error names; of more there is the number."""


def check_same_classes(root: Path, first: tuple[Path, Sequence[str]], second: tuple[Path, Sequence[str]]) -> None:
    """Check that two parts have the same classes.

    Args:
        root: the folder of the data.
        first: the folder of a part, and the names of its classes.
        second: those of another part.

    Raises:
        DataError: a class is in one part alone; names it, its folder, and a class of the other part that is nearly called
            the same.
    """
    for (folder, names), (other_folder, other_names) in ((first, second), (second, first)):
        missing = sort_classes(set(names) - set(other_names))
        if missing:
            here, there = (path.relative_to(root).as_posix() for path in (folder, other_folder))
            near = _nearly_equal(missing, sort_classes(set(other_names) - set(names)))
            remedy = "each part must hold every class; leave others out with data.classes"
            if near is not None:
                remedy = f"{there} has {near[1]!r}: is it the same class as {near[0]!r}?"
            rule = f"{_list_classes(missing)} in {here} and not in {there}; {remedy}"
            raise DataError(str(folder / missing[0]), rule)


def _nearly_equal(names: Sequence[str], others: Sequence[str]) -> tuple[str, str] | None:
    """The first of the `names` that is nearly one of the `others`, and that one."""
    keys = {_spelling(other): other for other in reversed(others)}
    return next(((name, keys[_spelling(name)]) for name in names if _spelling(name) in keys), None)


def _spelling(name: str) -> str:
    """A text that is the same for names that differ in case, zeros before a number, outer spaces or the form of Unicode."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", unicodedata.normalize("NFC", name).casefold().strip())


def _list_classes(names: Sequence[str]) -> str:
    """The first of the `names`, and their number, with a verb: "class 'a' is", "classes 'a', 'b' are"."""
    if len(names) == 1:
        return f"class {names[0]!r} is"
    more = f", ... ({len(names)} in all)" if len(names) > MAX_CLASSES_NAMED else ""
    return f"classes {', '.join(map(repr, names[:MAX_CLASSES_NAMED]))}{more} are"
