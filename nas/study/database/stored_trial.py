"""Trials in a compact form, for a process that holds very many of them.

A `StoredTrial` is an Optuna `FrozenTrial` whose parameters and attributes are unpacked at each access (a few microseconds), and
whose large attributes (`LARGE_ATTRIBUTES`) are read from the storage then: about 1 kB instead of 20. It cannot be changed. A
copy is an ordinary `FrozenTrial`.
"""

from __future__ import annotations

import copy
import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import FrozenTrial, TrialState
from pydantic_core import from_json

from nas.errors import UsageError

LARGE_ATTRIBUTES = ("architecture", "curve", "segments", "throughput", "latency", "losses")
"""User attributes that are left in the storage until somebody asks for them."""

MAX_BYTE = 255


class ParameterTable:
    """Every pair of a parameter's name and its distribution, as JSON, that any trial has; they are numbered from 0."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        self._pairs: list[tuple[str, BaseDistribution]] = []
        self._first: dict[str, BaseDistribution] = {}

    def number(self, name: str, distribution: str) -> int:
        """The number of a pair."""
        key = (name, distribution)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._pairs)
            self._pairs.append((intern(name), json_to_distribution(distribution)))
            self._first.setdefault(*self._pairs[-1])
        return number

    def distribution(self, name: str) -> BaseDistribution | None:
        """The first distribution that the parameter `name` had; None if no trial has it."""
        return self._first.get(name)

    def pair(self, number: int) -> tuple[str, BaseDistribution]:
        """The inverse of `number`."""
        return self._pairs[number]


class PackedParameters:
    """The parameters of a trial in few bytes.

    Args:
        numbers: of each pair of name and distribution (`ParameterTable`).
        values: in Optuna's internal representation.
    """

    __slots__ = ("_numbers", "_values")

    def __init__(self, numbers: Sequence[int], values: Sequence[float]) -> None:
        self._numbers = array("I", numbers).tobytes()
        small = all(0 <= value <= MAX_BYTE and value == int(value) for value in values)
        self._values: bytes | tuple[float, ...] = bytes(map(int, values)) if small else tuple(values)

    def pairs(self, table: ParameterTable) -> Iterator[tuple[str, BaseDistribution, float]]:
        """Name, distribution and internal value of each parameter, in the order in which they were chosen."""
        numbers = memoryview(self._numbers).cast("I")
        for number, value in zip(numbers, self._values, strict=True):
            yield *table.pair(number), float(value)


class StoredAttributes(dict[str, Any]):
    """User attributes of a trial; those that were left in the storage are read when somebody asks for one.

    Args:
        present: name -> value of those that were read.
        absent: the names of the others.
        load: returns all attributes.
    """

    __slots__ = ("_absent", "_load")

    def __init__(
        self, present: Mapping[str, Any], absent: Sequence[str], load: Callable[[], Mapping[str, Any]]
    ) -> None:
        super().__init__(present)
        self._absent = tuple(absent)
        self._load = load

    def _complete(self) -> None:
        if self._absent:
            loaded = self._load()
            self._absent = ()
            super().update(loaded)

    def __missing__(self, name: str) -> Any:
        if name not in self._absent:
            raise KeyError(name)
        self._complete()
        return self[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The value of `name`, or `default`."""
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._absent

    def __len__(self) -> int:
        return super().__len__() + len(self._absent)

    def __iter__(self) -> Iterator[str]:
        self._complete()
        return super().__iter__()

    def keys(self) -> Any:
        self._complete()
        return super().keys()

    def values(self) -> Any:
        self._complete()
        return super().values()

    def items(self) -> Any:
        self._complete()
        return super().items()

    def __eq__(self, other: object) -> bool:
        self._complete()
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __repr__(self) -> str:
        self._complete()
        return super().__repr__()

    def __copy__(self) -> dict[str, Any]:
        return dict(self.items())

    def copy(self) -> dict[str, Any]:
        """A plain copy."""
        return dict(self.items())

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return copy.deepcopy(dict(self.items()), memo)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self.items()),)


class StoredTrial(FrozenTrial):
    """A trial.

    Args:
        number, state, values, datetime_start, datetime_complete, trial_id: as those of a `FrozenTrial`.
        intermediate_values: step -> value.
        params: the parameters.
        table: what the numbers in `params` mean.
        user_attrs: those that were read, as JSON; None for those that were left in the storage.
        system_attrs: as JSON.
        load: returns all user attributes of the trial of an id.
    """

    __slots__ = (
        "_datetime_start",
        "_intermediate",
        "_large",
        "_load",
        "_number",
        "_packed",
        "_small",
        "_system",
        "_table",
        "_trial_id",
        "_values",
        "datetime_complete",
        "state",
    )

    def __init__(
        self,
        number: int,
        state: TrialState,
        values: Sequence[float] | None,
        datetime_start: datetime | None,
        datetime_complete: datetime | None,
        intermediate_values: Mapping[int, float],
        params: PackedParameters,
        table: ParameterTable,
        user_attrs: Mapping[str, str | None],
        system_attrs: Mapping[str, str | None],
        trial_id: int,
        load: Callable[[int], Mapping[str, Any]],
    ) -> None:
        self._number, self.state, self._trial_id = number, state, trial_id
        self._values = None if values is None else list(values)
        self._datetime_start, self.datetime_complete = datetime_start, datetime_complete
        self._intermediate = tuple(intermediate_values.items())
        self._packed, self._table, self._load = params, table, load
        self._small = _join(user_attrs)
        self._large = _shared(tuple(name for name, text in user_attrs.items() if text is None))
        self._system = _join(system_attrs)

    @property
    def intermediate_values(self) -> dict[int, float]:  # type: ignore[override]
        """Step -> value."""
        return dict(self._intermediate)

    @property
    def _params(self) -> dict[str, Any]:  # type: ignore[override]
        return {
            name: distribution.to_external_repr(value) for name, distribution, value in self._packed.pairs(self._table)
        }

    @property
    def _distributions(self) -> dict[str, BaseDistribution]:  # type: ignore[override]
        return {name: distribution for name, distribution, _ in self._packed.pairs(self._table)}

    @property
    def _user_attrs(self) -> dict[str, Any]:  # type: ignore[override]
        if not self._large:
            return parse_attributes(self._small)
        return StoredAttributes(parse_attributes(self._small), self._large, lambda: self._load(self._trial_id))

    @property
    def _system_attrs(self) -> dict[str, Any]:  # type: ignore[override]
        return parse_attributes(self._system)

    def thawed(self) -> FrozenTrial:
        """The same trial as Optuna's own storage returns it."""
        return FrozenTrial(
            number=self._number,
            state=self.state,
            value=None,
            values=self._values,
            datetime_start=self._datetime_start,
            datetime_complete=self.datetime_complete,
            params=self._params,
            distributions=self._distributions,
            user_attrs=dict(self._user_attrs.items()),
            system_attrs=self._system_attrs,
            intermediate_values=self.intermediate_values,
            trial_id=self._trial_id,
        )

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, FrozenTrial):
            return NotImplemented
        return self.thawed() == (other.thawed() if isinstance(other, StoredTrial) else other)

    def __hash__(self) -> int:
        return hash(self._trial_id)

    def __repr__(self) -> str:
        return repr(self.thawed())

    def __copy__(self) -> FrozenTrial:
        return self.thawed()

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTrial:
        return copy.deepcopy(self.thawed(), memo)

    def __reduce__(self) -> Any:
        return self.thawed().__reduce__()


_SHARED: dict[tuple[str, ...], tuple[str, ...]] = {}


def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    """One object for equal tuples."""
    return _SHARED.setdefault(names, names)


@lru_cache(maxsize=4096)
def _quoted(name: str) -> str:
    return json.dumps(name)


def _join(attributes: Mapping[str, str | None]) -> str:
    """The attributes that have a text as one JSON object; empty if there are none."""
    members = [f"{_quoted(name)}:{text}" for name, text in attributes.items() if text is not None]
    return f"{{{','.join(members)}}}" if members else ""


def parse_attributes(text: str) -> dict[str, Any]:
    """The inverse of joining attributes to one JSON object."""
    if not text:
        return {}
    try:
        return dict(from_json(text))
    except ValueError:
        pass
    try:
        return dict(json.loads(text))  # also reads lone surrogates, NaN and Infinity
    except (ValueError, RecursionError) as error:
        raise UsageError(f"an attribute of a trial is no JSON ({error}); `nas doctor` says which") from None
