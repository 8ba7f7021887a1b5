"""Columns that grow while a study is searched: numbers, texts as codes, and lists of different lengths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

MISSING_CODE = -1
_FIRST_SIZE = 64


class GrowingColumn:
    """A column of numbers that grows by doubling.

    Args:
        fill: the value of rows that were never set.
        dtype: of the array.
        values: the first rows.
    """

    def __init__(self, fill: float, dtype: str, values: ArrayLike = ()) -> None:
        self.fill = fill
        self._values = np.asarray(values, dtype).copy()

    def set(self, row: int, value: float) -> None:
        """Set the value of `row`, which may be beyond the end."""
        self._reserve(row + 1)
        self._values[row] = value

    def assign(self, rows: NDArray[np.int64], values: ArrayLike) -> None:
        """Set the `values` of several `rows`, which may be beyond the end."""
        if len(rows):
            self._reserve(int(rows.max()) + 1)
            self._values[rows] = values

    def first(self, count: int) -> NDArray[Any]:
        """The first `count` rows."""
        self._reserve(count)
        return self._values[:count]

    def _reserve(self, count: int) -> None:
        if count > len(self._values):
            grown = np.full(max(_FIRST_SIZE, 2 * len(self._values), count), self.fill, self._values.dtype)
            grown[: len(self._values)] = self._values
            self._values = grown


class TextColumn:
    """A column of texts as codes into a list that only grows; a missing text is `MISSING_CODE`.

    Args:
        texts: the different texts, in the order of their first appearance.
        codes: the first rows.
    """

    def __init__(self, texts: Iterable[str] = (), codes: ArrayLike = ()) -> None:
        self.texts = list(texts)
        self.codes = GrowingColumn(MISSING_CODE, "i4", codes)
        self._code_of = {text: code for code, text in enumerate(self.texts)}

    def code(self, text: str | None) -> int:
        """The code of `text`, which is added to the list if it is new."""
        if text is None:
            return MISSING_CODE
        code = self._code_of.get(text)
        if code is None:
            code = self._code_of[text] = len(self.texts)
            self.texts.append(text)
        return code

    def assign(self, rows: NDArray[np.int64], texts: Iterable[str | None]) -> None:
        """Set the `texts` of several `rows`."""
        self.codes.assign(rows, [self.code(text) for text in texts])


class RaggedColumn:
    """A column of lists of numbers, or of rows of `width` numbers, of different lengths.

    Args:
        dtype: of the numbers.
        width: numbers in an item of a list; None: an item is a number.
        lengths: of the lists of the first rows.
        values: the items of these lists, one after another.
    """

    def __init__(
        self, dtype: str, width: int | None = None, lengths: ArrayLike = (), values: ArrayLike | None = None
    ) -> None:
        self.width = width
        self._values = np.empty((0,) if width is None else (0, width), dtype)
        if values is not None:
            self._values = np.asarray(values, dtype).copy()
        self._size = len(self._values)
        self._lengths = GrowingColumn(0, "i4", lengths)
        ends = np.cumsum(np.asarray(lengths, np.int64))
        self._starts = GrowingColumn(0, "i8", ends - np.asarray(lengths, np.int64))

    def __getitem__(self, row: int) -> NDArray[Any]:
        start, length = (int(column.first(row + 1)[row]) for column in (self._starts, self._lengths))
        return self._values[start : start + length]

    def assign(self, rows: NDArray[np.int64], lists: Sequence[Sequence[Any]]) -> None:
        """Set the `lists` of several `rows`; an earlier list of a row is left behind."""
        lengths = np.array([len(items) for items in lists], np.int64)
        size = self._size + int(lengths.sum())
        if size > len(self._values):
            grown = np.empty(
                (max(_FIRST_SIZE, 2 * len(self._values), size), *self._values.shape[1:]), self._values.dtype
            )
            grown[: self._size] = self._values[: self._size]
            self._values = grown
        items = [item for items in lists for item in items]
        if items:
            with np.errstate(over="ignore"):  # what is too large for the type is infinite
                self._values[self._size : size] = items
        self._starts.assign(rows, self._size + np.cumsum(lengths) - lengths)
        self._lengths.assign(rows, lengths)
        self._size = size

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The lengths of the lists of `rows`."""
        count = int(rows.max()) + 1 if len(rows) else 0
        return self._lengths.first(count)[rows].astype(np.int64)

    def gather(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """The items of the lists of `rows`, one after another."""
        lengths = self.lengths(rows)
        starts = self._starts.first(int(rows.max()) + 1 if len(rows) else 0)[rows]
        skipped = starts - (np.cumsum(lengths) - lengths)
        return self._values[np.repeat(skipped, lengths) + np.arange(int(lengths.sum()))]
