"""A study's configuration: YAML with dotted overrides in, a frozen value out, errors with the line and column to blame.

    nas search studies/digits.yaml train.epochs=5 limits.macs=2e6

An override replaces one value, named by its path; its text is YAML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from nas import objectives, sampler as samplers
from nas.errors import ConfigError, UnknownNameError
from nas.study.config_errors import check_types, config_error, plain, space_config_error, split_place
from nas.study.study_file import StudyFile, read
from search_space import SearchSpace
from search_space.errors import EmptySpaceError, SpaceError, unknown_name
from trainers.config import DataConfig, TrainConfig


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
    """Who proposes architectures: the cost-aware Pareto sampler, or one to compare it with (`nas.sampler.factories`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "pareto"

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if name not in samplers.names():
            raise UnknownNameError("", "sampler", name, samplers.names())
        return name


class Scheduler(BaseModel):
    """How far an architecture is trained: "none": always to the end; "halving": multi-objective successive halving.

    Args:
        reduction: at each rung one in so many goes on.
        first_epochs: the first rung; by default train.epochs / reduction, the only one before the end: a front needs many
            whole trainings.
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
    """How throughput and latency are measured, where they are objectives or limits (`trainers.measuring.throughput`).

    Args:
        batch_size: images a pass, by default 16 on a CPU (short passes tell more: nothing changes meanwhile), 128 on a GPU; a
            latency is that of one.
        precision: of the passes, by autocast; by default that of the parameters.
        min_time_s, max_time_s: seconds of timed passes, at least and at most.
        interval: half the 95% confidence interval, as a share of the figure, at which they may end.
        exclusive: trainings on the same device stand still meanwhile.
        operators_s: seconds spent at most when a study begins on timing the operators that its architectures are made of, by
            which the sampler "pareto" foresees throughput and latency; 0: none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_size: int | None = Field(None, ge=1)
    precision: Literal["float32", "bfloat16", "float16"] | None = None
    min_time_s: float = Field(0.02, gt=0)
    max_time_s: float = Field(0.5, gt=0)
    interval: float = Field(0.02, gt=0, lt=1)
    exclusive: bool = True
    operators_s: float = Field(30, ge=0)


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
        raise config_error(error, source, StudyConfig) from None
    check_types(config, source.data, (), source)
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
            raise ConfigError(where, f"space.{key}: must be that of the data, {plain(value)}, found {stated!r}")
    try:
        return SearchSpace.from_dict({**config.space, **known})
    except SpaceError as error:
        raise space_config_error(error, source) from None


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
