"""The columns of a study in a file beside its database, so that a page of a large study opens at once.

`DIR/columns.npz` is an archive of plain arrays (no pickles) and the JSON `header`: the schema number, what identifies the study,
the cursor up to which it was read, and the texts of codes. What does not fit (another schema, study or version, a damaged file)
is ignored: the columns are then read from the database, which remains the only truth.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED

import numpy as np
from numpy.typing import NDArray

from nas.analysis.columns import BLOCKS_PREFIX, StudyColumns
from nas.analysis.growing import MISSING_CODE, GrowingColumn, RaggedColumn, TextColumn
from nas.analysis.running_front import FrontEntry, RunningFront
from nas.errors import reason
from nas.objectives import Objective
from nas.study.database.reader import Cursor
from nas.study.trial_record import TrialRecord
from trainers.files import atomic_write
from trainers.input_files import open_input
from trainers.json_text import parse_json

SCHEMA = 1
"""The number of the layout of the file; a reader ignores others."""
RAGGED = ("curves", "seconds", "segments")
"""Columns of lists."""
ARRAYS = (
    *("numbers", "codes", "feasible", "blocks", "in_history", "until", "entries", "extremes"),
    *(f"{name} {part}" for name in RAGGED for part in ("lengths", "values")),
)
"""The arrays of the file, besides its header."""
Arrays = dict[str, NDArray[Any]]

logger = logging.getLogger(__name__)


MIN_SAVED_TRIALS = 500
"""A study with fewer trials is read as fast as the file."""
MIN_GROWTH = 1.1
"""The file is written again when the study has this multiple of the trials in the file."""


@dataclass(frozen=True)
class CachedColumns:
    """What the file holds.

    Args:
        columns: the trials up to the cursor.
        cursor: to read on from.
    """

    columns: StudyColumns
    cursor: Cursor


def identity_of(name: str, first: TrialRecord) -> str:
    """Identifies a study: its `name` and the start of its `first` trial, which further trials do not change."""
    started = "" if first.datetime_start is None else str(first.datetime_start.timestamp())
    return f"{name} of {started}"


def is_worth_saving(count: int, saved_count: int) -> bool:
    """True if the columns of `count` trials should replace a file that has `saved_count`, 0 without a file."""
    return count >= max(MIN_SAVED_TRIALS, MIN_GROWTH * saved_count)


def save_columns(file: Path, columns: StudyColumns, cursor: Cursor, identity: str) -> None:
    """Write `columns`, read up to `cursor`, to `file`, atomically.

    Args:
        file: the file, which is replaced.
        columns: the columns.
        cursor: up to which they were read.
        identity: of the study (`identity_of`).

    Raises:
        OSError: the file cannot be written.
    """
    count, texts = columns.count, columns.texts | columns.choices
    front = columns.front
    header = {
        "schema": SCHEMA,
        "identity": identity,
        "objectives": [objective.to_dict() for objective in columns.objectives],
        "cursor": str(cursor),
        "count": count,
        "numbers": list(columns.numbers),
        "texts": {name: column.texts for name, column in columns.texts.items()},
        "choices": {name: column.texts for name, column in columns.choices.items()},
        "workers": columns.segments.workers,
        "outcomes": columns.segments.outcomes,
        "rungs": sorted(columns.rung_columns.epochs),
    }
    arrays: Arrays = {
        "header": np.frombuffer(json.dumps(header).encode(), np.uint8),
        "numbers": _stack([column.first(count) for column in columns.numbers.values()], count),
        "codes": _stack([column.codes.first(count) for column in texts.values()], count),
        "feasible": columns.feasible.first(count),
        "blocks": columns.blocks.first(count),
        "in_history": columns.in_history.first(count),
        "until": columns.rung_columns.until.first(count),
        "entries": np.array([[entry.trial, entry.removed_by] for entry in front.entries], np.int64).reshape(-1, 2),
        "extremes": front.extremes,
    }
    for name, column in _ragged(columns).items():
        rows = np.arange(count)
        arrays |= {f"{name} lengths": column.lengths(rows), f"{name} values": column.gather(rows)}
    with atomic_write(file) as draft, draft.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def load_columns(file: Path, objectives: tuple[Objective, ...], identity: str) -> CachedColumns | None:
    """What `save_columns` wrote to `file` for the study `identity`; None if there is none that fits."""
    try:
        with open_input(file) as stream, np.load(stream, allow_pickle=False) as archive:
            if any(member.compress_type != ZIP_STORED for member in archive.zip.infolist()):
                raise ValueError("its arrays must not be compressed, since they may be of any size then")
            header = parse_json(archive["header"].tobytes())
            expected = {
                "schema": SCHEMA,
                "identity": identity,
                "objectives": [objective.to_dict() for objective in objectives],
            }
            if any(header.get(key) != value for key, value in expected.items()):
                return None
            arrays = {name: archive[name] for name in ARRAYS}
        columns = _restore(StudyColumns(objectives), header, arrays)
        return None if columns is None else CachedColumns(columns, Cursor.parse(header["cursor"]))
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever numpy and zipfile raise of a file that is none of theirs
        logger.info("%s is ignored: %s", file, reason(error))
        return None


def _restore(columns: StudyColumns, header: dict[str, Any], arrays: Arrays) -> StudyColumns | None:
    """Fill new `columns`; None if another version wrote other columns."""
    count = int(header["count"])
    names = [name for name in header["numbers"] if not name.startswith(BLOCKS_PREFIX)]
    if names != list(columns.numbers) or list(header["texts"]) != list(columns.texts):
        return None
    _check_shapes(count, header, arrays)
    columns.count = count
    columns.numbers = {
        name: GrowingColumn(np.nan, "f8", row) for name, row in zip(header["numbers"], arrays["numbers"], strict=True)
    }
    texts = header["texts"] | header["choices"]
    restored = {name: TextColumn(texts[name], row) for name, row in zip(texts, arrays["codes"], strict=True)}
    columns.texts = {name: restored[name] for name in header["texts"]}
    columns.choices = {name: restored[name] for name in header["choices"]}
    columns.feasible = GrowingColumn(1, "u1", arrays["feasible"])
    columns.blocks = GrowingColumn(np.nan, "f4", arrays["blocks"])
    columns.in_history = GrowingColumn(0, "u1", arrays["in_history"])
    columns.rung_columns.epochs = set(map(int, header["rungs"]))
    columns.rung_columns.until = GrowingColumn(0, "i4", arrays["until"])
    columns.segments.workers, columns.segments.outcomes = list(header["workers"]), list(header["outcomes"])
    columns.curves = RaggedColumn("f4", None, arrays["curves lengths"], arrays["curves values"])
    columns.rung_columns.seconds = RaggedColumn("f8", None, arrays["seconds lengths"], arrays["seconds values"])
    width = columns.segments.rows.width
    columns.segments.rows = RaggedColumn("f8", width, arrays["segments lengths"], arrays["segments values"])
    columns.restore_front(_restore_front(columns, arrays))
    return columns


def _check_shapes(count: int, header: dict[str, Any], arrays: Arrays) -> None:
    """Raise `ValueError` unless the arrays fit each other, as those of a file that was written whole do."""
    texts = [*header["texts"].values(), *header["choices"].values()]
    for names in (*texts, header["workers"], header["outcomes"]):
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("the codes of the header must be texts")
    shapes: dict[str, tuple[int, ...]] = {
        "numbers": (len(header["numbers"]), count),
        "codes": (len(texts), count),
    }
    shapes |= dict.fromkeys(("feasible", "blocks", "in_history", "until"), (count,))
    wrong = [name for name, shape in shapes.items() if arrays[name].shape != shape]
    for name in RAGGED:
        lengths, values = arrays[f"{name} lengths"], arrays[f"{name} values"]
        wrong += [name] if lengths.shape != (count,) or lengths.sum() != len(values) or (lengths < 0).any() else []
    numbers = np.array([len(items) for items in texts])
    wrong += ["codes"] if (arrays["codes"] >= numbers[:, None]).any() or (arrays["codes"] < MISSING_CODE).any() else []
    entries = arrays["entries"]
    wrong += ["entries"] if (entries >= count).any() or (entries[:, 0] < 0).any() else []
    if wrong:
        raise ValueError(f"arrays {', '.join(wrong)} do not fit {count} trials")


def _restore_front(columns: StudyColumns, arrays: Arrays) -> RunningFront:
    values = np.stack(
        [columns.numbers[objective.name].first(columns.count) for objective in columns.objectives], axis=1
    )
    entries = [FrontEntry(trial, values[trial], removed_by) for trial, removed_by in arrays["entries"].tolist()]
    return RunningFront.restore(columns.objectives, entries, arrays["extremes"])


def _ragged(columns: StudyColumns) -> dict[str, RaggedColumn]:
    return dict(zip(RAGGED, (columns.curves, columns.rung_columns.seconds, columns.segments.rows), strict=True))


def _stack(rows: list[NDArray[Any]], count: int) -> NDArray[Any]:
    return np.stack(rows) if rows else np.empty((0, count))
