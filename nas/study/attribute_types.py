"""The types of stored attributes. Other programs can write to a study, too, by Optuna or by SQL.

An attribute of a type that mixfront does not write counts as missing, so that one odd trial does not hide all others. What is
checked is what readers rely on; texts and plain numbers are converted where they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from nas.study.environment import ATTRIBUTE as ENVIRONMENTS
from nas.study.segments import SEGMENTS

Check: TypeAlias = Callable[[Any], bool]
MAX_NUMBER: Final = 2**31 - 1
"""The highest number of a trial or an epoch."""


def is_number(value: object) -> bool:
    """True for a number; it may be NaN or infinite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and _fits_float(value)


def is_index(value: object) -> bool:
    """True for a number of a trial or an epoch."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_NUMBER


def is_number_text(text: str, max_digits: int = 15) -> bool:
    """True for a number in digits, such as that of a trial."""
    return text.isascii() and text.isdigit() and len(text) <= max_digits


def trial_value(name: str, value: Any) -> Any:
    """`value` of the attribute `name` of a trial; None if it has another type."""
    check = _OF_TRIALS.get(name)
    return value if check is None or value is None or check(value) else None


def study_value(name: str, value: Any) -> Any:
    """`value` of the attribute `name` of a study, of a mapping only the keys of the right type; None if it has another type."""
    if name in _BY_TRIAL:
        return _by_trial(value, _BY_TRIAL[name])
    if name == "pins":
        return [number for number in value if is_index(number)] if isinstance(value, list) else None
    if name in _KEYS_OF_STUDIES:
        checks = _KEYS_OF_STUDIES[name]
        if not isinstance(value, Mapping):
            return None
        return {key: item for key, item in value.items() if key not in checks or item is None or checks[key](item)}
    check = _OF_STUDIES.get(name)
    return value if check is None or value is None or check(value) else None


def _by_trial(value: Any, check: Check) -> Any:
    """The entries of a mapping from numbers of trials, as text, that pass `check`."""
    if not isinstance(value, Mapping):
        return None
    return {number: item for number, item in value.items() if is_number_text(number) and check(item)}


def _fits_float(value: float) -> bool:
    try:
        float(value)
    except OverflowError:
        return False
    return True


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _mapping_of(check: Check) -> Check:
    return lambda value: isinstance(value, Mapping) and all(map(check, value.values()))


def _numbers_at(*names: str, required: str = "") -> Check:
    """A check of a mapping: a number, or nothing, at each of `names`, and a number at `required`."""

    def check(value: object) -> bool:
        if not isinstance(value, Mapping) or (required and not is_number(value.get(required))):
            return False
        return all(value.get(name) is None or is_number(value[name]) for name in names)

    return check


def _is_interval(value: object) -> bool:
    """True for a median and the ends of an interval."""
    return isinstance(value, list) and len(value) == 3 and all(map(is_number, value))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_environment(value: object) -> bool:
    """True for a mapping with the moment `since` which it holds."""
    if not isinstance(value, Mapping):
        return False
    try:
        return datetime.fromisoformat(str(value.get("since"))).tzinfo is not None
    except ValueError:
        return False


def _is_size(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_index, value))


_OF_TRIALS: Final[Mapping[str, Check]] = {
    "curve": _list_of(_numbers_at("val_accuracy", "wall_s")),
    "architecture": _is_mapping,
    SEGMENTS: _list_of(_numbers_at("end", "measure_s", "train_s", "validate_s", required="start")),
    "until": is_index,
    "outcome": _is_text,
    "retried_from": is_index,
    "infeasible": _is_text,
    "predicted": _mapping_of(_is_interval),
    "predicted_values": _mapping_of(_is_interval),
    "operator_predictions": _mapping_of(is_number),
    "throughput": _is_mapping,
    "latency": _is_mapping,
    "unmeasured": _is_mapping,
    "inherited": _is_mapping,
}
_BY_TRIAL: Final[Mapping[str, Check]] = {
    "notes": _is_text,
    "test_accuracy": is_number,
    "test_confusion": _is_mapping,
}
_OF_STUDIES: Final[Mapping[str, Check]] = {
    ENVIRONMENTS: _list_of(_is_environment),
}
_KEYS_OF_STUDIES: Final[Mapping[str, Mapping[str, Check]]] = {
    "config": {
        "limits": _mapping_of(is_number),
        "trials": is_index,
        **dict.fromkeys(("train", "start", "sampler", "throughput", "space", "scheduler"), _is_mapping),
    },
    "dataset": {
        "image_size": _is_size,
        "class_names": _list_of(lambda name: isinstance(name, str | int)),
        "class_counts": _mapping_of(_list_of(is_index)),
        **dict.fromkeys(("in_chans", "num_classes", "train", "val", "test", "skipped_count"), is_index),
        "files": _mapping_of(_is_mapping),
        "duplicates": _is_mapping,
        "passed_over": _list_of(_is_mapping),
        "skipped": _list_of(_is_text),
    },
    "target": {"trials": is_index, "time_budget_s": is_number, "since": _is_text, "workers": is_index},
}
