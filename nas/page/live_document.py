"""A study whose page is open while it is searched: the document as it is now, and what changed since a browser last asked.

Every row and every part of the document has the version at which it last changed, so that a browser that has version 7 gets the
rows and the parts that changed later. One that comes with nothing but a cursor (`nas.study.database.reader.Cursor`), also to a
server that was restarted, gets the trials that had not ended by then, and all small parts. Its cost does not depend on the number
of trials.

A change has these keys; what stays the same is left out, except `cursor` and `count`:

    cursor, count        how far the study was read, and its number of trials
    rows                 {"index": numbers of trials, "columns": by key, "curves", "segments"}: trials that are new or changed
    fields               all fields, if there are others than before
    codes                {key: {"from": n, "texts": [...]}}: further texts of a field of codes, from its code `n` on
    analysis, and the parts of `study_parts`, `trial_parts` and `state_parts` in `nas.page.document`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.analysis.columns import StudyColumns
from nas.analysis.growing import GrowingColumn
from nas.errors import UsageError
from nas.page.arrays import encode
from nas.page.document import PageState, document, encode_trials, state_parts, study_parts, trial_parts
from nas.page.fields import Field, fields_of
from nas.study.database.reader import Cursor
from nas.study.info import StudyInfo
from nas.study.trial_record import TrialRecord

Rows = NDArray[np.int_]


@dataclass(frozen=True)
class Position:
    """How far a browser is.

    Args:
        cursor: the trials that it has, as text.
        version: of the document, when it last got a change; None: it has just loaded it, or had it from another server.
        codes: field of codes -> the number of texts that it has; empty with the version None.
    """

    cursor: str
    version: int | None = None
    codes: Mapping[str, int] = field(default_factory=dict)


class LiveDocument:
    """A study as columns, its document and its changes.

    Args:
        info: the study.
        state: what the page says of it besides.
        columns: trials that were read before; None: none.
    """

    def __init__(self, info: StudyInfo, state: PageState, columns: StudyColumns | None = None) -> None:
        self.info = info
        self.state = state
        self.version = 0
        self.columns = StudyColumns(info.objectives) if columns is None else columns
        self._row_versions = GrowingColumn(0, "i8")
        self._parts: dict[str, Any] = {}
        self._part_versions: dict[str, int] = {}
        self._fields: list[Field] = []
        self._has_new_rows = False

    def add(self, trials: Sequence[TrialRecord]) -> None:
        """Take up `trials` that are new or have changed; `settle` follows."""
        for row in self.columns.update(trials):
            self._row_versions.set(row, self.version + 1)
            self._has_new_rows = True

    def settle(self, attributes: Mapping[str, Any] | None, state: PageState) -> bool:
        """Take up what else was read; returns True if anything of the document changed since the last time.

        Args:
            attributes: the user attributes of the study; None if they have not changed.
            state: what the page says of the study besides.
        """
        version, self.state = self.version + 1, state
        if attributes is not None:
            self.info = replace(self.info, attributes=attributes)
        has_new_attributes = attributes is not None or not self._parts
        if self._has_new_rows or has_new_attributes:
            for row in self.columns.set_test_accuracy(self.info.test_accuracy):
                self._row_versions.set(row, version)
                self._has_new_rows = True
        changed = self._set_parts(state_parts(state, self.columns.count), version)
        if has_new_attributes:
            changed |= self._set_parts(study_parts(self.info), version)
        if self._has_new_rows or not self._fields:
            self._fields = fields_of(self.columns)
            shapes = [replace(item, codes=()) for item in self._fields]
            changed |= self._set_parts(trial_parts(self.columns) | {"fields": shapes}, version)
        changed |= self._has_new_rows
        self._has_new_rows = False
        self.version += changed
        return changed

    def _set_parts(self, parts: Mapping[str, Any], version: int) -> bool:
        """Set parts of the document; returns True if any of them is another than before."""
        changed = {
            name: value for name, value in parts.items() if name not in self._parts or self._parts[name] != value
        }
        self._parts |= changed
        self._part_versions |= dict.fromkeys(changed, version)
        return bool(changed)

    def set_analysis(self, analysis: Mapping[str, Any]) -> bool:
        """Set the findings that take a while; returns True if they changed."""
        changed = self._set_parts({"analysis": analysis}, self.version + 1)
        self.version += changed
        return changed

    @property
    def position(self) -> Position:
        """The position of a browser that has everything."""
        codes = {item.key: len(item.codes) for item in self._fields if item.kind == "code"}
        return Position(self.state.cursor, self.version, codes)

    @property
    def trials_version(self) -> int:
        """The version in which trials last changed; 0 without trials."""
        return int(self._row_versions.first(self.columns.count).max(initial=0))

    def document(self) -> dict[str, Any]:
        """The whole study as plain JSON."""
        return document(self.info, self.columns, self.state) | {"analysis": self._parts.get("analysis")}

    def change(self, position: Position) -> dict[str, Any] | None:
        """What changed since `position` as plain JSON; None: it is not a position of this study, which must be loaded again."""
        rows = self._rows_since(position)
        if rows is None:
            return None
        since = -1 if position.version is None else position.version
        parts = {
            name: value for name, value in self._parts.items() if self._part_versions[name] > since and name != "fields"
        }
        change = {"cursor": self.state.cursor, "count": self.columns.count, **parts, **self._field_changes(position)}
        if len(rows):
            change["rows"] = {"index": encode(rows, "i4"), **encode_trials(self.columns, self._fields, rows)}
        return change

    def _field_changes(self, position: Position) -> dict[str, Any]:
        if position.version is None or self._part_versions["fields"] > position.version:
            return {"fields": [item.to_dict() for item in self._fields]}
        codes = {
            item.key: {"from": position.codes[item.key], "texts": list(item.codes[position.codes[item.key] :])}
            for item in self._fields
            if item.kind == "code" and len(item.codes) > position.codes[item.key]
        }
        return {"codes": codes} if codes else {}

    def _rows_since(self, position: Position) -> Rows | None:
        """The numbers of the trials that changed since `position`, ascending; None if it is none of this study."""
        count = self.columns.count
        if position.version is not None:
            return np.flatnonzero(self._row_versions.first(count) > position.version)
        try:
            cursor = Cursor.parse(position.cursor)
        except UsageError:
            return None
        if cursor.next_number > count:
            return None
        tested = np.flatnonzero(np.isfinite(self.columns.numbers["test_accuracy"].first(count)))
        return np.unique(np.concatenate([cursor.open, np.arange(cursor.next_number, count), tested]).astype(np.int_))
