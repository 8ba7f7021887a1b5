"""The objectives of studies: one table, from which every list of names elsewhere is derived.

An objective is one file of this package. Its `source` says how its value is obtained:

- "cost": computed from the description of an architecture, before anything is built (MACs, parameters). Exact and free: a
  candidate that violates a limit is never proposed, and the sampler knows the value of every candidate.
- "measured": measured on the network (throughput, latency, memory), in a worker, alone on its device: before it is trained, and
  a network that violates a limit is refused; or afterwards, if it may be on the front (`nas.driver.front_measuring`).
- "trained": computed after training (accuracy). A study has at least one, and trains networks for the first that `is_goal`.

    ENERGY_J = register(
        Objective("energy_j", "energy", "J", "minimize", log=True, source="measured", value=lambda network: Measurement(...))
    )
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

from nas.errors import UnknownNameError

Direction = Literal["maximize", "minimize"]
Source = Literal["cost", "measured", "trained"]

SOURCES: tuple[Source, ...] = ("trained", "cost", "measured")
"""The sources, in the order in which tables show them."""


@dataclass(frozen=True)
class Measurement:
    """The value of a measured objective.

    Args:
        value: in the objective's unit.
        details: details of the measurement (interval, batch size, ...), plain JSON.
    """

    value: float
    details: Mapping[str, Any] = field(default_factory=dict)


class MeasurableNetwork(Protocol):
    """An untrained network on its device, the argument of a measured objective (`nas.evaluation.measurer`)."""

    network: Any
    """The `nn.Module`, `(B, C, H, W) -> (B, classes)`."""
    input_shape: tuple[int, int, int]
    """(C, H, W) of an image."""
    device: Any
    """A `torch.device`."""
    batch_size: int
    """Images of a pass, from the configuration of the study."""

    def timing(self, batch_size: int) -> Any:
        """Time passes of `batch_size` images; returns a `trainers.measuring.throughput.ThroughputMeasurement`."""


class TrainedNetwork(Protocol):
    """A network after its training, or at a rung; the argument of a trained objective."""

    network: Any
    """The trained `nn.Module`, with averaged weights if the study averages them."""
    data: Any
    """The `trainers.data.dataset.Dataset` it was trained on."""
    history: Sequence[Any]
    """The epochs so far (`trainers.training.epoch.Epoch`); the last one is validated."""
    confusion: Any
    """Its confusion matrix on the validation split (`trainers.training.confusion.Confusion`), computed when it is read."""
    config: Any
    """How it is trained (`trainers.training.config.TrainConfig`)."""


@dataclass(frozen=True)
class Objective:
    """An objective.

    Args:
        name: its name in studies, tables and figures; also the user attribute under which a trial keeps its value.
        label: the text of an axis.
        unit: of the value; empty for a ratio.
        direction: "maximize" or "minimize".
        log: True if ratios matter rather than differences: axes and hypervolumes take its logarithm.
        source: how the value is obtained; see the module docstring.
        value: "cost": `Architecture -> float`; "measured": `MeasurableNetwork -> Measurement`; "trained": `TrainedNetwork ->
            float`. None for an objective of a table, or of a study whose objective this version does not have.
        details_name: of a measured objective, the user attribute that keeps the details of its measurement; empty: not kept.
        from_seconds: of a measured objective that operator times predict: `(seconds of a pass, images of a pass) -> value`;
            None: it is not predicted.
        pass_images: images of the pass whose time predicts it; None: the batch size of the study.
        always_shown: True if tables also show it in studies that do not optimise it.
        is_goal: True if networks are trained for it: the first such objective of a study is its primary one (`primary_index`).
    """

    name: str
    label: str
    unit: str
    direction: Direction
    log: bool
    source: Source
    value: Callable[[Any], Any] | None = field(default=None, compare=False)
    details_name: str = ""
    from_seconds: Callable[[float, int], float] | None = field(default=None, compare=False)
    pass_images: int | None = None
    always_shown: bool = False
    is_goal: bool = False

    @property
    def cheap(self) -> bool:
        """True if the value is known before training, exactly."""
        return self.source == "cost"

    @property
    def unit_label(self) -> str:
        """The unit, or the label of a number without one: "MACs", "images/s", "parameters"."""
        return self.unit or self.label

    def compute(self, subject: Any) -> Any:
        """`value` of `subject`.

        Raises:
            ValueError: this version has no function for it.
        """
        if self.value is None:
            raise ValueError(f"objective {self.name!r} has no `value` function in this version")
        return self.value(subject)

    def violates(self, value: float, limit: float) -> bool:
        """True if `value` is worse than `limit`, the worst value allowed."""
        return value < limit if self.direction == "maximize" else value > limit

    def excess(self, value: float, limit: float) -> float:
        """The amount by which `value` is worse than `limit`; above 0 if it violates the limit, like Optuna's constraints."""
        return limit - value if self.direction == "maximize" else value - limit

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, as stored in the attributes of the study."""
        names = ("name", "label", "unit", "direction", "cheap", "log", "source")
        return {name: getattr(self, name) for name in names}


def timing_details(timing: Any) -> dict[str, Any]:
    """The details of a `ThroughputMeasurement`, as stored in the attributes of a trial."""
    return {
        "images_per_s_interval": [timing.low, timing.high],
        "batch_size": timing.batch_size,
        "threads": timing.threads,
        "precision": timing.precision,
        "repeats": timing.repeats,
        "drift": timing.drift,
        "clock_mhz": timing.clock_mhz,
        "temperature_c": timing.temperature_c,
    }


OBJECTIVES: dict[str, Objective] = {}


def register(objective: Objective) -> Objective:
    """Register `objective` under its name, and return it.

    Raises:
        ValueError: the name is registered already, or the objective has no `value` function.
    """
    if objective.name in OBJECTIVES:
        raise ValueError(f"objective {objective.name!r} is already registered")
    if objective.value is None:
        raise ValueError(f"objective {objective.name!r}: a registered objective must have a `value` function")
    OBJECTIVES[objective.name] = objective
    return objective


def get(name: str) -> Objective:
    """The objective called `name`.

    Raises:
        UnknownNameError: there is none; the error lists the registered names.
    """
    if name not in OBJECTIVES:
        raise UnknownNameError("objectives", "objective", name, OBJECTIVES)
    return OBJECTIVES[name]


def names(source: Source | None = None) -> tuple[str, ...]:
    """The names of all objectives, or of those of one `source`: by source in the order of `SOURCES`, then by name."""
    ordered = sorted(OBJECTIVES.values(), key=lambda objective: (SOURCES.index(objective.source), objective.name))
    return tuple(objective.name for objective in ordered if source in (None, objective.source))


def from_dict(item: Mapping[str, Any]) -> Objective:
    """Read an objective from the attributes of a study; missing fields come from the registered objective of that name."""
    name = item["name"]
    if not isinstance(name, str) or item["direction"] not in get_args(Direction):
        raise ValueError("an objective must have a name and a direction")
    registered = OBJECTIVES.get(name)
    cheap = item.get("cheap", registered is not None and registered.cheap)
    source = item.get("source") or (registered.source if registered is not None else "cost" if cheap else "trained")
    return Objective(
        name=name,
        label=item.get("label", registered.label if registered is not None else name),
        unit=item.get("unit", registered.unit if registered is not None else ""),
        direction=item["direction"],
        log=item.get("log", registered is not None and registered.log),
        source=source,
        value=None if registered is None else registered.value,
        details_name="" if registered is None else registered.details_name,
        from_seconds=None if registered is None else registered.from_seconds,
        pass_images=None if registered is None else registered.pass_images,
        always_shown=registered is not None and registered.always_shown,
        is_goal=registered is not None and registered.is_goal,
    )


def primary_index(objectives: Sequence[Objective]) -> int:
    """The index of the objective that a study trains networks for: its "best" trial is the best in it.

    The first that `is_goal` (accuracy, balanced accuracy, macro F1), or else the first whose source is "trained", or else the
    first.
    """
    goals = [index for index, objective in enumerate(objectives) if objective.is_goal]
    trained = [index for index, objective in enumerate(objectives) if objective.source == "trained"]
    return (*goals, *trained, 0)[0]
