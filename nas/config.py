"""A study's configuration: YAML with dotted overrides in, a frozen value out, errors with the line and column to blame.

    nas search studies/digits.yaml train.epochs=5 limits.macs=2e6

An override replaces one value, named by its path; its text is YAML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from nas import objectives
from nas.errors import ConfigError
from nas.study_file import StudyFile, read
from search_space import SearchSpace
from search_space.errors import EmptySpaceError, SpaceError, unknown_name
from search_space.value import dotted, literal_hint
from trainers.config import DataConfig, TrainConfig
from trainers.errors import DataError


class Resources(BaseModel):
    """What the search may use.

    Args:
        workers: trainings at a time; by default as many as the CPUs (or GPU shares) allow.
        cpus_per_trial: CPU threads of a training.
        gpus_per_trial: GPUs of a training, a fraction to share one; by default 1 where there is a GPU, else 0.
        address: of a Ray cluster to join ("auto" or host:port); by default a private one on this machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int | None = Field(None, ge=1)
    cpus_per_trial: int = Field(1, ge=1)
    gpus_per_trial: float | None = Field(None, ge=0)
    address: str | None = None


class Sampler(BaseModel):
    """Who proposes architectures: the cost-aware Pareto sampler, or one to compare it with (`nas.samplers`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["pareto", "tpe", "nsga2", "gp", "evolution", "random"] = "pareto"


class Scheduler(BaseModel):
    """How far an architecture is trained: "none": always to the end; "halving": multi-objective successive halving.

    Args:
        reduction: at each rung one in so many goes on.
        first_epochs: the first rung; by default train.epochs / reduction^2.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["none", "halving"] = "none"
    reduction: int = Field(3, ge=2)
    first_epochs: int | None = Field(None, ge=1)


class Start(BaseModel):
    """What is known before the study begins.

    Args:
        presets: the architectures of the space nearest to these are trained first.
        study: folder of an earlier study: those nearest to its front likewise, and its accuracies inform the sampler "pareto".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    presets: tuple[str, ...] = ()
    study: Path | None = None


class Throughput(BaseModel):
    """How images per second are measured.

    Args:
        batch_size: images a pass.
        min_time_s: seconds of timed passes, after the warm-up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_size: int = Field(64, ge=1)
    min_time_s: float = Field(0.2, gt=0)


class StudyConfig(BaseModel):
    """All that a study is.

    Args:
        name: of the study; by default that of its file.
        seed: of sampling and training.
        trials: architectures to train.
        data: the images.
        space: the search space, as `search_space.SearchSpace` reads it; image size, channels and classes come from the data.
        train: the proxy training.
        objectives: what is optimised, names of `nas.objectives`.
        limits: objective -> the worst value allowed; what a description exceeds is refused before training.
        start, sampler, scheduler, throughput, resources: see there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("study", min_length=1)
    seed: int = Field(0, ge=0, lt=2**31)
    trials: int = Field(40, ge=1)
    data: DataConfig = DataConfig()
    space: dict[str, Any]
    train: TrainConfig = TrainConfig()
    objectives: Annotated[tuple[str, ...], Field(min_length=1)] = ("accuracy", "macs", "images_per_s")
    limits: dict[str, Annotated[float, Field(gt=0)]] = {}
    start: Start = Start()
    sampler: Sampler = Sampler()
    scheduler: Scheduler = Scheduler()  # type: ignore[call-arg]
    throughput: Throughput = Throughput()  # type: ignore[call-arg]
    resources: Resources = Resources()  # type: ignore[call-arg]

    @field_validator("objectives")
    @classmethod
    def _known_objectives(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            objectives.get(name)
        if len(set(names)) < len(names):
            raise ValueError("must name each objective once")
        if "accuracy" not in names:
            raise ValueError("must contain accuracy, the only one that is trained for")
        return names

    @field_validator("limits")
    @classmethod
    def _known_limits(cls, limits: dict[str, float]) -> dict[str, float]:
        limitable = [name for name in objectives.OBJECTIVES if name != "accuracy"]
        for name in limits:
            if name not in limitable:
                raise unknown_name(name, "limit", name, limitable)
        return limits


def load(path: Path, overrides: Sequence[str] = ()) -> tuple[StudyConfig, StudyFile]:
    """The study that the YAML file `path` describes, with `overrides` such as `train.epochs=5`; and where each value stands.

    Raises:
        ConfigError: the file is missing, is no YAML, or breaks a rule; it names the place, the rule and the value.
    """
    source = read(path, overrides)
    if not isinstance(source.data, dict):
        raise ConfigError(f"{path}:1:1", "a study must be a mapping with a `space` (see studies/digits.yaml)")
    data = {"name": path.stem, **source.data}
    try:
        config = StudyConfig.model_validate(data)
    except ValidationError as error:
        raise _config_error(error, source) from None
    _check_types(config, source.data, (), source)
    _check_space(config, source)
    return config, source


def space_of(config: StudyConfig, source: StudyFile, known: Mapping[str, Any]) -> SearchSpace:
    """The search space of `config` on data of `known` image_size, in_chans and num_classes.

    Raises:
        ConfigError: a rule is broken, or the space says of the images what the data do not.
    """
    for key, value in known.items():
        stated = config.space.get(key, value)
        if stated != value and not (key == "image_size" and list(value) == [stated, stated]):
            where = source.where(("space", key))
            raise ConfigError(where, f"space.{key}: must be that of the data, {_plain(value)}, found {stated!r}")
    try:
        return SearchSpace.from_dict({**config.space, **known})
    except SpaceError as error:
        raise space_config_error(error, source) from None


def space_config_error(error: SpaceError, source: StudyFile, prefix: str = "space") -> ConfigError:
    """An error of the space, told with its place in the file."""
    placed = error.at(prefix)
    return ConfigError(source.where(split_place(placed.place)), str(placed))


def check_unchanged(config: StudyConfig, began: Mapping[str, Any], source: StudyFile) -> None:
    """Raise `ConfigError` unless `config` is the study that began as `began`; trials and resources may change."""
    old, new = flat(_completed(began)), flat(config.model_dump(mode="json"))
    for key in [*new, *(key for key in old if key not in new)]:
        if key.split(".")[0] in ("trials", "resources") or old.get(key) == new.get(key):
            continue
        where = source.where(split_place(key))
        rule = f"{key}: must stay {old.get(key)!r} as the study began, found {new.get(key)!r}"
        raise ConfigError(where, f"{rule} (another --out begins another study)")


def _completed(began: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration of a study on disk, with the defaults of keys that there were none of when it began."""
    try:
        return StudyConfig.model_validate(began).model_dump(mode="json")
    except ValidationError:
        return began


def flat(data: object, prefix: str = "") -> dict[str, Any]:
    """Nested mappings, and lists of them, as one mapping: keys and indices joined by dots."""
    if isinstance(data, list) and any(isinstance(item, Mapping) for item in data):
        data = dict(enumerate(data))
    if not isinstance(data, Mapping) or not data:
        return {prefix: data}
    found: dict[str, Any] = {}
    for key, value in data.items():
        found |= flat(value, f"{prefix}.{key}" if prefix else str(key))
    return found


_TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _check_types(read: object, given: object, place: tuple[str | int, ...], source: StudyFile) -> None:
    """Raise `ConfigError` where a value was read as another type than was given: `true` as 1, `1e3` or "7" as a whole number."""
    if isinstance(given, dict):
        for key, value in given.items():
            inner = read[key] if isinstance(read, Mapping) else getattr(read, key)
            _check_types(inner, value, (*place, key), source)
    elif isinstance(given, list) and isinstance(read, Sequence):
        for index, (inner, value) in enumerate(zip(read, given, strict=True)):
            _check_types(inner, value, (*place, index), source)
    elif type(read) in _TYPES and type(given) is not type(read) and (type(given), type(read)) != (int, float):
        rule = f"must be {_TYPES[type(read)]}, found {_plain(given)}"
        raise ConfigError(source.where(place), f"{dotted(place)}: {rule}")


def _check_space(config: StudyConfig, source: StudyFile) -> None:
    """Find what is wrong with the space before any image is read, as far as that can be told."""
    size = config.space.get("image_size", config.data.image_size)
    try:
        SearchSpace.from_dict(
            {"image_size": 32, **config.space} if size is None else {**config.space, "image_size": size}
        )
    except EmptySpaceError as error:
        if size is not None:
            raise space_config_error(error, source) from None
    except SpaceError as error:
        raise space_config_error(error, source) from None


def _config_error(error: ValidationError, source: StudyFile) -> ConfigError:
    first = error.errors(include_url=False)[0]
    loc = first["loc"]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, SpaceError | DataError):
        inner = cause.place if cause.place != (loc[-1] if loc else "") else ""
        path = (*loc, *split_place(inner)) if isinstance(cause, SpaceError) and inner not in map(str, loc) else loc
        text = str(cause).removeprefix(f"{cause.place}: ")
        return ConfigError(source.where(path), f"{dotted(path)}: {text}")
    if first["type"] == "extra_forbidden":
        known = _fields_at(loc[:-1])
        return ConfigError(source.where(loc), str(unknown_name(dotted(loc), "key", loc[-1], known)))
    message = first["msg"].removeprefix("Value error, ")
    found = "" if first["type"] in ("missing", "value_error") else f", found {_plain(first['input'])}"
    rule = f"{message[:1].lower()}{message[1:]}{literal_hint(first)}"
    return ConfigError(source.where(loc), f"{dotted(loc)}: {rule}{found}")


def _fields_at(loc: Sequence[str | int]) -> list[str]:
    """The keys that may stand at `loc`."""
    model: Any = StudyConfig
    for part in loc:
        field = model.model_fields.get(str(part)) if isinstance(model, type) and issubclass(model, BaseModel) else None
        model = field.annotation if field is not None else None
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def split_place(place: str) -> tuple[str | int, ...]:
    """`stages[2].mixer` as `("stages", 2, "mixer")`."""
    parts = place.replace("[", ".").replace("]", "").split(".")
    return tuple(int(part) if part.isdigit() else part for part in parts if part)


def _plain(value: object) -> str:
    text = (
        yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
        if _is_plain(value)
        else repr(value)
    )
    return text if len(text) <= 80 else text[:77] + "..."


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool | list | dict) or value is None
