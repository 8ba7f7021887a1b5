"""The configuration of a study: YAML with dotted overrides becomes a frozen value; errors name the line and column.

    nas search studies/digits.yaml train.epochs=5 limits.macs=2e6

An override replaces the value at its path; the text after `=` is YAML, or verbatim for a text key
(`nas.study.config_file.text_keys`).
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from nas import objectives, sampler as samplers
from nas.errors import ConfigError, UnknownNameError, UsageError
from nas.formatting import printable
from nas.study.attribute_types import MAX_NUMBER
from nas.study.config_file.config_errors import check_types, config_error, space_config_error, split_place
from nas.study.config_file.durations import Duration
from nas.study.config_file.sizes import Size
from nas.study.config_file.space_config import AnySpaceConfig
from nas.study.config_file.study_file import StudyFile, read
from nas.study.database.storage_url import StorageUrl, without_password
from nas.study.device_kind import device_kind
from nas.study.url_store import check_url
from search_space import SearchSpace
from search_space.errors import SpaceError
from trainers.data.config import DataConfig
from trainers.measuring.effort import Effort
from trainers.training.config import TrainConfig

MAX_NAME_CHARS = 512
"""What the column of names in Optuna's tables holds."""
MAX_MEASURING_S = 86_400
MAX_BATCH_SIZE = 65_536
MAX_SEED = 2**31 - 1
MAX_WORKERS = 10_000


class Resources(BaseModel):
    """The resources that the search may use.

    Args:
        workers: number of trainings at a time; by default as many as the CPUs (or GPU shares) allow.
        cpus_per_trial: CPU threads of a training.
        gpus_per_trial: GPUs of a training, 0 to 1; a fraction shares a GPU; by default 1 if there is a GPU, else 0.
        address: address of a Ray cluster to join ("auto" or host:port); by default a private one on this machine.
        per_trial: custom resource of the cluster -> amount that a training needs, such as {accelerator_type:A100: 0.01}.
        wait_for_cluster: how long a cluster that is lost, or has no node for a worker, is waited for.
        executor: the executor that runs trials: "ray_tune", or "local" (processes of this machine, without Ray).
        memory_per_trial: memory that a worker on a CPU may hold, such as `8 GB`; a network that needs more fails. None: nine
            tenths of the machine's. On a GPU a worker has its share, `gpus_per_trial`.
        max_silence: the time without a training step, batch of a validation or measured pass after which a trial is ended; None:
            never. By default 30 minutes: the longest of these takes seconds, and compiling a network minutes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    workers: int | None = Field(None, ge=1, le=MAX_WORKERS)
    cpus_per_trial: int = Field(1, ge=1)
    gpus_per_trial: float | None = Field(None, ge=0, le=1)
    address: str | None = None
    per_trial: dict[str, Annotated[float, Field(gt=0)]] = {}
    wait_for_cluster: Duration = timedelta(minutes=10)
    executor: str = "ray_tune"
    memory_per_trial: Size | None = None
    max_silence: Duration | None = timedelta(minutes=30)


class Sampler(BaseModel):
    """The sampler that proposes architectures: the cost-aware Pareto sampler, or a baseline (`nas.sampler.factories`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = "pareto"

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if name not in samplers.names():
            raise UnknownNameError("", "sampler", name, samplers.names())
        return name


class Scheduler(BaseModel):
    """The scheduler of trainings: "none" trains every architecture to the end; "halving" is multi-objective successive halving.

    Args:
        name: "none" or "halving".
        reduction: at each rung one in this number of trials is promoted; at least 2.
        first_epochs: the first rung; by default train.epochs / reduction, the only one before the end: a front needs many
            complete trainings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Literal["none", "halving"] = "none"
    reduction: int = Field(3, ge=2)
    first_epochs: int | None = Field(None, ge=1)


class StudyTraining(TrainConfig):
    """The proxy training, and whether it starts from the weights of other trials.

    Args:
        inherit: "none": each training starts from its own initial weights; "nearest": from the tensors of the nearest trained
            architecture that match by name and shape, for a third of the epochs. The front is then trained from scratch at
            the end of the search (`nas.study.outcomes.inheritance`).
    """

    # Off: with the epochs of 20 to 24 complete trainings it was sooner at an equal front in two of six searches, and in three it
    # did not reach it (two seeds of three small data sets, tests/benchmarks/time_to_front.py).
    inherit: Literal["none", "nearest"] = "none"

    @model_validator(mode="before")
    @classmethod
    def _accept_proxy(cls, train: object) -> object:
        """Also take a `TrainConfig`."""
        return train.model_dump() if type(train) is TrainConfig else train

    @property
    def proxy(self) -> TrainConfig:
        """The training from scratch, as the identity of its checkpoint has it."""
        return TrainConfig.model_validate(self.model_dump(exclude={"inherit"}))


class Start(BaseModel):
    """Prior knowledge of a study.

    Args:
        presets: the architectures of the space nearest to these are trained first.
        study: folder of an earlier study: the architectures nearest to its front are trained first too, and its accuracies
            inform the sampler "pareto".
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    presets: tuple[str, ...] = ()
    study: Path | None = None


class Throughput(BaseModel):
    """The measurement of throughput and latency, if they are objectives or limits (`trainers.measuring.throughput`).

    Args:
        batch_size: images of a pass, by default 16 on a CPU (short passes are disturbed less), 128 on a GPU; a
            latency is that of one image.
        precision: dtype of the passes, by autocast; by default that of the parameters.
        min_time_s, max_time_s: the least and the most seconds of timed passes.
        interval: timing ends when half the 95% confidence interval is at most this share of the value.
        exclusive: trainings on the same device pause while a measurement runs.
        operators_s: the most seconds spent at the start of a study on timing operators, from which the sampler "pareto"
            predicts throughput and latency; 0: no prediction.
        device: the kind of device to measure on: a part of its name in any case ("H100"), or "cpu" or "cuda" (also "gpu").
            Workers on others train, and their networks are measured elsewhere. None: all workers have the device of the first
            measurement.
        measure: "all": every network, before its training. "front": those that may be on the front, after their training; the
            values of others are predicted from operator times and costs, corrected by what was measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    batch_size: int | None = Field(None, ge=1, le=MAX_BATCH_SIZE)
    precision: Literal["float32", "bfloat16", "float16"] | None = None
    min_time_s: float = Field(Effort.min_time_s, gt=0, le=MAX_MEASURING_S)
    max_time_s: float = Field(Effort.max_time_s, gt=0, le=MAX_MEASURING_S)
    interval: float = Field(Effort.interval, gt=0, lt=1)
    exclusive: bool = True
    operators_s: float = Field(30, ge=0, le=MAX_MEASURING_S)
    device: str | None = Field(None, min_length=1, max_length=MAX_NAME_CHARS)
    measure: Literal["all", "front"] = "all"

    @field_validator("device")
    @classmethod
    def _check_device(cls, device: str | None) -> str | None:
        return None if device is None else device_kind(device)

    @property
    def each_measurement(self) -> dict[str, Any]:
        """The keys that every measurement obeys (`nas.evaluation.settings.MeasuringSettings`), whatever the device decides."""
        return self.model_dump(exclude={"operators_s", "batch_size", "measure"})


class StudyConfig(BaseModel):
    """A study.

    Args:
        name: the name of the study; by default that of its file.
        seed: the seed of sampling and training.
        trials: number of architectures to train; at least 1.
        time_budget: the time after which a search ends, counted from its start; the next call continues it, for the same
            time again. None: no end before `trials` are trained.
        data: the images.
        space: the search space, as `search_space.SearchSpace` reads it; image size, channels and classes come from the data.
        train: the proxy training, see `StudyTraining`.
        objectives: names of objectives (`nas.objectives`), at least one of which networks are trained for: "accuracy",
            "balanced_accuracy" or "macro_f1".
        limits: objective -> the worst value allowed. An architecture whose exact costs violate one is never proposed, a network
            whose measurements violate one is refused before training.
        files: a URL that fsspec reads (`s3://bucket/prefix`, `gs://`, `file://`) where the checkpoints and weights of trials
            and the decoded images are; None: they are in the study's folder, or travel to it.
        storage: URL of a PostgreSQL database, so that several drivers may search: "postgresql://USER@HOST/DATABASE", without a
            password (`nas.study.database.storage_url`); null: an SQLite file in the folder of the study.
        start, sampler, scheduler, throughput, resources: see `Start`, `Sampler`, `Scheduler`, `Throughput`, `Resources`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field("study", min_length=1, max_length=MAX_NAME_CHARS)
    seed: int = Field(0, ge=0, le=MAX_SEED)
    trials: int = Field(40, ge=1, le=MAX_NUMBER)
    time_budget: Duration | None = None
    data: DataConfig = DataConfig()
    space: AnySpaceConfig
    train: StudyTraining = StudyTraining()
    objectives: Annotated[tuple[str, ...], Field(min_length=1)] = ("accuracy", "macs", "images_per_s")
    limits: dict[str, Annotated[float, Field(gt=0)]] = {}
    storage: str | None = None
    start: Start = Start()
    sampler: Sampler = Sampler()
    scheduler: Scheduler = Scheduler()  # type: ignore[call-arg]
    throughput: Throughput = Throughput()  # type: ignore[call-arg]
    resources: Resources = Resources()  # type: ignore[call-arg]
    files: str | None = None

    _file: StudyFile | None = PrivateAttr(None)

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if printable(name) != name:
            raise ValueError(f"must be printable text, found '{printable(name)}'")
        return name

    @field_validator("storage")
    @classmethod
    def _check_storage(cls, text: str | None) -> str | None:
        if text is None:
            return None
        try:
            url = StorageUrl.parse(text)
        except UsageError as error:
            raise ValueError(str(error).removeprefix("storage: ")) from None
        if url.password is not None:
            rule = "must have no password in a file (--storage may have one; PGPASSWORD and ~/.pgpass are read, too)"
            raise ValueError(f"{rule}, found {without_password(text)}")
        return url.text

    @field_validator("objectives")
    @classmethod
    def _check_objectives(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            objectives.get(name)
        if len(set(names)) < len(names):
            raise ValueError("must name each objective once")
        trained = objectives.names("trained")
        if not set(names) & set(trained):
            raise ValueError(f"must contain an objective that networks are trained for: {', '.join(trained)}")
        return names

    @field_validator("limits")
    @classmethod
    def _check_limits(cls, limits: dict[str, float]) -> dict[str, float]:
        limit_names = [*objectives.names("cost"), *objectives.names("measured")]
        for name in limits:
            if name not in limit_names:
                raise UnknownNameError(name, "limit", name, limit_names)
        return limits

    @field_validator("files")
    @classmethod
    def _check_files(cls, files: str | None) -> str | None:
        return None if files is None else check_url(files)

    @classmethod
    def from_file(cls, path: str | Path, *overrides: str) -> Self:
        """Read the study in the YAML file `path`, with `overrides` such as `"train.epochs=5"`.

        Raises:
            ConfigError: the file is missing, is no YAML, or breaks a rule; the error names the place, the rule and the value.
        """
        return cls.parse(read(Path(path), overrides, cls))

    @classmethod
    def parse(cls, file: StudyFile) -> Self:
        """Validate the study in `file`.

        Raises:
            ConfigError: as `from_file`.
        """
        if not isinstance(file.data, dict):
            raise ConfigError(f"{file.file}:1:1", "a study must be a mapping with a `space` (see studies/digits.yaml)")
        try:
            config = cls.model_validate({"name": file.file.stem, **file.data})
        except ValidationError as error:
            raise config_error(error, file, cls) from None
        config._file = file
        check_types(config, file.data, (), file)
        try:
            config.space.check_size(config.data.image_size)
        except SpaceError as error:
            raise space_config_error(error, file) from None
        return config

    def where(self, *path: str | int) -> str:
        """`FILE:LINE:COL` of the deepest part of `path` that the file contains, or the override that set it.

        Empty for a configuration that was created in Python.
        """
        return "" if self._file is None else self._file.where(path)

    def space_on(self, image_size: tuple[int, int], in_chans: int, num_classes: int) -> SearchSpace:
        """Create the search space for images of this size, number of channels and classes.

        Raises:
            ConfigError: the study states other values, or no architecture fits the images.
        """
        try:
            return self.space.on(image_size, in_chans, num_classes)
        except SpaceError as error:
            placed = error.at("space")
            raise ConfigError(self.where(*split_place(placed.place)), str(placed)) from None

    def read_from(self, other: StudyConfig) -> Self:
        """The same configuration, with the places (`where`) of `other`."""
        copy = self.model_copy()
        copy._file = other._file
        return copy
