"""Whether a configuration continues a study, and with what.

`trials`, `time_budget`, `resources` and `throughput.measure` may change while a study goes on, `throughput.device` may be set,
and its folder says where the storage is (`nas.study.database.storage.place_of`). Of the rest the meaning counts, not the
spelling: the order of choices and objectives, defaults that are written out, and the name of the study do not matter. Where the
images and an earlier study are (`data.path`, `data.download`, `start.study`) may change, too: they are identified by their
content (`StoredStudy.check_images`, `nas.driver.start.warm_start.check_earlier_study`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError

from nas.errors import ConfigError
from nas.study.config import StudyConfig
from nas.study.config_file.canonical_space import canonical_space
from nas.study.config_file.config_errors import split_place
from search_space.errors import SpaceError
from trainers.data.grouping import is_table

FREE_KEYS = ("trials", "time_budget", "resources", "storage")
"""Keys that may change while a study goes on."""
MEASURE = "throughput.measure"
"""A key that may change, too; without it a study goes on as before."""
DEVICE = "throughput.device"
"""A key that may be set later (`nas.study.measuring_device.check_kind`)."""


def continue_config(config: StudyConfig, stored: Mapping[str, Any]) -> StudyConfig:
    """The configuration to continue the study of the `stored` one: that one, with what may change taken from `config`.

    Raises:
        ConfigError: as `check_continues`.
    """
    check_continues(config, stored)
    try:
        original = StudyConfig.model_validate(stored)
    except ValidationError:  # of a version with other keys
        return config
    places = {key: getattr(config.data, key) for key in ("path", "download", "split", "group_by")}
    data = original.data.model_copy(update=places)
    start = original.start.model_copy(update={"study": config.start.study})
    changes = {key: getattr(config, key) for key in FREE_KEYS}
    throughput: dict[str, Any] = {"measure": _measured_trials(config, original)}
    if original.throughput.device is None:
        throughput["device"] = config.throughput.device
    changes["throughput"] = original.throughput.model_copy(update=throughput)
    return original.model_copy(update={**changes, "data": data, "start": start}).read_from(config)


def _measured_trials(config: StudyConfig, original: StudyConfig) -> Literal["all", "front"]:
    """Which trials are measured: what `config` says, or else what the study says, or else all, as before there was a key."""
    for throughput in (config.throughput, original.throughput):
        if "measure" in throughput.model_fields_set:
            return throughput.measure
    return "all"


def check_continues(config: StudyConfig, stored: Mapping[str, Any]) -> None:
    """Raise `ConfigError` unless `config` continues the study of the `stored` configuration."""
    old, new = flatten(_comparable(stored)), flatten(_comparable(config.model_dump(mode="json")))
    for key in [*new, *(key for key in old if key not in new)]:
        if old.get(key) == new.get(key) or key == MEASURE or (key == DEVICE and old.get(key) is None):
            continue
        rule = f"{key}: must stay {old.get(key)!r} as at the start of the study, found {new.get(key)!r}"
        advice = "`nas search DIR` continues it as it is; another --out begins another study"
        raise ConfigError(config.where(*split_place(key)), f"{rule} ({advice})")


def _comparable(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """What must stay of a configuration while its study goes on, in canonical form.

    Keys that did not exist when the study was created have their defaults.
    """
    try:
        config = StudyConfig.model_validate(stored)
        plain = config.model_dump(mode="json") | {"space": canonical_space(config.space)}
    except (ValidationError, SpaceError):
        plain = dict(stored)
    plain = {key: value for key, value in plain.items() if key not in ("name", *FREE_KEYS)}
    if isinstance(plain.get("data"), Mapping):
        plain["data"] = {key: value for key, value in plain["data"].items() if key not in PLACES}
        plain["data"]["group_by"] = _grouping(plain["data"].get("group_by"))
        plain["data"]["classes"] = sorted(plain["data"].get("classes") or ())
    if isinstance(plain.get("start"), Mapping):
        start = plain["start"]
        plain["start"] = {"presets": sorted(start.get("presets") or ()), "study": _presence(start.get("study"))}
    if isinstance(plain.get("objectives"), list):
        plain["objectives"] = sorted(plain["objectives"])
    return plain


PLACES = ("path", "download", "split")
"""Keys of `data` that say where images, or a table on them, are: the fingerprint of the images decides."""


def _grouping(group_by: object) -> object:
    """A regular expression as it is; the name of a table does not matter."""
    return "a table" if isinstance(group_by, str) and is_table(group_by) else group_by


def _presence(study: object) -> str | None:
    return None if study is None else "an earlier study"


def flatten(data: object, prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings, and lists of them, into one mapping; keys and indices are joined by dots."""
    if isinstance(data, list) and any(isinstance(item, Mapping) for item in data):
        data = dict(enumerate(data))
    if not isinstance(data, Mapping) or not data:
        return {prefix: data}
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat
