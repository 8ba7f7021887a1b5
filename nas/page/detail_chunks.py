"""The details of all trials for a page without a server: compressed chunks, of which the page decodes the one that it needs.

A chunk has the details of `CHUNK_TRIALS` trials with consecutive numbers as JSON, compressed by gzip, as base64. It is a mapping
from each key of a detail to the list of its values, None for a trial without it: like next to like takes a quarter less. What
needs much room is kept for the front alone: pictures of channel dependencies and, in a large study, whole learning curves (the
validation accuracies of all trials are columns of the document). What the columns have is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from nas.page.channels import PictureList
from nas.page.detail import StudyContext, detail_of_curve, short_detail
from nas.page.packing import packed
from nas.page.parts import known_architecture
from nas.study.trials import AnyTrial

CHUNK_TRIALS: Final = 100
"""Trials of a chunk."""
MAX_WHOLE_CURVES: Final = 2000
"""Trials of a study up to which each has its whole learning curve, not only those on the front."""
MAX_TRACEBACK_CHARACTERS: Final = 4096
"""Characters of a traceback, the last ones."""


@dataclass(frozen=True)
class DetailChunks:
    """The details of all trials of a study.

    Args:
        chunks: a text for each `CHUNK_TRIALS` trials.
        pictures: a text, the pictures of channel dependencies; entries of `channels` refer to them by the index `picture`.
        omitted_pictures: the number of different blocks of the front for which there was no room.
    """

    chunks: tuple[str, ...]
    pictures: str
    omitted_pictures: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON for the document of the page."""
        return {
            "size": CHUNK_TRIALS,
            "chunks": list(self.chunks),
            "pictures": self.pictures,
            "omitted_pictures": self.omitted_pictures,
        }


def detail_chunks(
    trials: Sequence[AnyTrial],
    context: StudyContext,
    front: Sequence[int],
    progress: Callable[[int, int], None] | None = None,
) -> DetailChunks:
    """The details of all `trials` in the order of their numbers, which begin at 0 and have no gaps.

    Args:
        trials: of the study.
        context: of the study.
        front: the numbers of the trials on the front; the pictures of the first are drawn first.
        progress: called with the number of trials that are done, and of all.
    """
    pictures = PictureList()
    indices = {number: _picture_indices(trials[number], pictures) for number in front}
    with_curve = range(len(trials)) if len(trials) <= MAX_WHOLE_CURVES else frozenset(front)
    details = (
        _compact(short_detail(trial, context), indices.get(trial.number, ()))
        | (detail_of_curve(trial) if trial.number in with_curve else {})
        for trial in trials
    )
    chunks: list[str] = []
    for chunk in _batched(details, CHUNK_TRIALS):
        chunks.append(packed(_transposed(chunk)))
        if progress is not None:
            progress(min(len(chunks) * CHUNK_TRIALS, len(trials)), len(trials))
    return DetailChunks(tuple(chunks), packed(pictures.pictures), pictures.omitted)


def _batched(items: Iterator[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    """Lists of `size` consecutive items; the last may be shorter."""
    while batch := list(islice(items, size)):
        yield batch


def _transposed(details: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Key -> the values of all `details`; None for one without the key."""
    keys = dict.fromkeys(key for detail in details for key in detail)
    return {key: [detail.get(key) for detail in details] for key in keys}


def _picture_indices(trial: AnyTrial, pictures: PictureList) -> list[int | None]:
    known = known_architecture(trial.user_attrs.get("architecture"))
    return [] if known is None else pictures.add(known)


def _compact(detail: dict[str, Any], picture_indices: Iterable[int | None]) -> dict[str, Any]:
    """`detail` with the indices of pictures, without texts of shapes that are also numbers, and with the end of a traceback."""
    for block, index in zip(detail.get("channels", ()), picture_indices, strict=False):
        if index is not None:
            block["picture"] = index
    for part in detail.get("parts", ()):
        if "size" in part and part["kind"] != "head":
            del part["shape"]
    traceback = detail.get("traceback", "")
    if len(traceback) > MAX_TRACEBACK_CHARACTERS:
        end = traceback[-MAX_TRACEBACK_CHARACTERS:].partition("\n")[2]
        detail["traceback"] = f"... (the beginning is left out; error.txt in the folder of the trial has all)\n{end}"
    return detail
