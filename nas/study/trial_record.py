"""A trial as the reader of a study returns it, with the attribute names of Optuna's `FrozenTrial`.

Attributes are kept as the JSON text that the storage holds and are decoded when they are read: of 10,000 trials, most
architectures and curves are never looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna.trial import TrialState
from pydantic_core import from_json

from nas.errors import UsageError
from nas.study.attribute_types import is_number, trial_value

CONSTRAINTS = "constraints"
"""The system attribute of Optuna that holds constraints: a list (before Optuna 5), or one key `constraints:NAME` each."""
FIXED_PARAMS = "fixed_params"
"""The system attribute of Optuna that holds the parameters of an enqueued trial."""

SHOWN_CHARS = 40
"""Of a damaged attribute."""


class LazyAttributes(Mapping[str, Any]):
    """Attributes of a trial: name -> value, decoded from `texts` at each access.

    The value of an attribute that is no JSON, or of another type than mixfront writes (`nas.study.attribute_types`), is None:
    one odd trial does not hide all others. `attribute_problem` says what is wrong with it.

    Args:
        texts: name -> JSON.
    """

    __slots__ = ("texts",)

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = texts

    def __getitem__(self, name: str) -> Any:
        return _value(name, self.texts[name])

    def get(self, name: str, default: Any = None) -> Any:
        """The value of `name`; `default` if there is none, or if it is null or damaged."""
        text = self.texts.get(name)
        value = None if text is None else _value(name, text)
        return default if value is None else value

    def __contains__(self, name: object) -> bool:
        return name in self.texts

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return f"LazyAttributes({dict(self.texts)!r})"


NO_ATTRIBUTES = LazyAttributes({})


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """A trial of a study.

    Args:
        number: its number, from 0.
        state: its state in Optuna.
        values: of the objectives, in their order; None if it has none.
        params: the parameters, name -> value.
        user_attrs: user attributes (`nas.study.database.storage` lists them).
        system_attrs: Optuna's own attributes.
        intermediate_values: epoch -> value of the primary objective.
        datetime_start: local time; None while it waits.
        datetime_complete: local time; None until it has ended.
    """

    number: int
    state: TrialState
    values: list[float] | None
    params: Mapping[str, Any]
    user_attrs: LazyAttributes
    system_attrs: LazyAttributes
    intermediate_values: Mapping[int, float]
    datetime_start: datetime | None
    datetime_complete: datetime | None

    @property
    def constraints(self) -> dict[str, float]:
        """Constraint -> value; the trial is feasible if none exceeds 0."""
        if not self.system_attrs.texts:
            return {}
        stored = self.system_attrs.get(CONSTRAINTS)
        listed = stored if isinstance(stored, list) else ()
        prefix = f"{CONSTRAINTS}:"
        names = [name for name in self.system_attrs if name.startswith(prefix)]
        named = {name.removeprefix(prefix): self.system_attrs[name] for name in names}
        values = {**{str(index): value for index, value in enumerate(listed)}, **named}
        return {name: value for name, value in values.items() if is_number(value)}

    @property
    def damage(self) -> str:
        """The attributes that are damaged, and so count as missing, in words; empty if there are none."""
        problems = {name: attribute_problem(name, text) for name, text in self.user_attrs.texts.items()}
        return "; ".join(f"the attribute {name} {problem}" for name, problem in problems.items() if problem)

    @property
    def fixed_params(self) -> dict[str, Any]:
        """The parameters that an enqueued trial has, or will have when it starts; empty for others."""
        stored = self.system_attrs.get(FIXED_PARAMS)
        return dict(stored) if isinstance(stored, Mapping) else {}


def decode(name: str, text: str) -> Any:
    """The value of the attribute `name`, which the storage holds as the JSON `text`.

    Raises:
        UsageError: it is no JSON, so the database is damaged.
    """
    try:
        return from_json(text)
    except ValueError:
        pass
    try:
        return json.loads(text)  # also reads lone surrogates, which names of files may contain
    except (ValueError, RecursionError) as error:
        why = str(error).partition(";")[0]  # without Python's advice to programmers
        raise UsageError(f"attribute {name} must be JSON, found {text[:40]!r} ({why}); the study is damaged") from None


def attribute_problem(name: str, text: str | None) -> str:
    """What is wrong with the attribute `name` of a trial, of which the storage holds `text`; empty if nothing is."""
    if text is None:
        return "must be JSON, found NULL"
    shown = repr(text[:SHOWN_CHARS])
    try:
        value = decode(name, text)
    except UsageError:
        return f"must be JSON, found {shown}"
    return "" if value is None or trial_value(name, value) is not None else f"has another type, found {shown}"


def _value(name: str, text: str) -> Any:
    """The value of the attribute `name`; None for what is damaged."""
    try:
        return trial_value(name, decode(name, text))
    except UsageError:
        return None


def decode_column(name: str, texts: Sequence[str | None]) -> list[Any]:
    """The values of the attribute `name` of many trials, of which the storage holds the JSON `texts`; faster than one by one.

    A missing value, and one that is damaged, is None.
    """
    try:
        values = from_json(f"[{','.join('null' if text is None else text for text in texts)}]")
    except ValueError:
        values = []
    if len(values) != len(texts):
        return [None if text is None else _value(name, text) for text in texts]
    return [trial_value(name, value) for value in values]


def removed_trial(number: int) -> TrialRecord:
    """What stands for the trial `number` that somebody removed from the database: Optuna numbers trials without gaps."""
    return _failed_trial(number, "the trial was removed from the database")


def damaged_trial(number: int, reason: str) -> TrialRecord:
    """What stands for the trial `number` whose rows in the database cannot be read, because of `reason`."""
    return _failed_trial(number, f"the trial is damaged in the database: {reason}")


def _failed_trial(number: int, failure: str) -> TrialRecord:
    attributes = LazyAttributes({"outcome": '"failed"', "failure": json.dumps(failure)})
    return TrialRecord(number, TrialState.FAIL, None, {}, attributes, NO_ATTRIBUTES, {}, None, None)
