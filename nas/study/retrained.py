"""Full trainings of a study (`nas retrain`): the record of each run, and where its files are. Needs no torch.

DIR/retrained/NAME/DIGEST/seed-N/    of network NAME, DIGEST the first characters of the digest of its recipe
    result.json          the record of a run that has ended (`RetrainedRun`), written last
    model.safetensors    its weights; architecture or timm name, recipe and seed are in the header
    checkpoint.pt        while it trains, and progress.json, which says how far it is

NAME is `trial-12`, `arch-ID`, `preset-NAME` or `timm-NAME`, with `-finetuned` (from the weights of the trial) or `-pretrained`
(from timm's weights) if the training did not start from scratch. Runs of one name and one digest differ in their seeds alone.

Anybody may have written the files: what breaks a rule is skipped, with a remark.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

from nas.formatting import printable
from nas.study.attribute_types import is_index, is_number
from nas.study.content import confusion_of
from trainers.input_files import read_input
from trainers.json_text import parse_json
from trainers.training.confusion import Confusion
from trainers.training.epoch import Epoch

SCHEMA = 1
"""The schema number of records; a reader refuses a higher one."""

RETRAINED = "retrained"
RESULT = "result.json"
STOP = "stop"
"""The file in `RETRAINED` whose existence asks the workers of a command to stop."""
DIGEST_CHARS = 12
MAX_RESULT_BYTES = 1 << 26
"""Of a record: 10,000 epochs and 1,000 classes take three megabytes."""
MAX_RUNS = 10_000
"""Records that are read; a study has some dozens."""
MAX_COUNT = 2**53
"""Of MACs and parameters: what a script of a page can count."""

RunKind = Literal["trial", "architecture", "preset", "baseline"]
RunStart = Literal["trial", "scratch", "pretrained"]

_NAME = re.compile(r"(trial|arch|preset|timm)-[A-Za-z0-9_.+-]{1,190}")
_DIGEST = re.compile(r"[0-9a-f]{12,128}")
_PREFIXES: Mapping[str, str] = {"trial": "trial", "architecture": "arch", "preset": "preset", "baseline": "timm"}
_SUFFIXES: Mapping[str, str] = {"trial": "-finetuned", "scratch": "", "pretrained": "-pretrained"}


@dataclass(frozen=True)
class RetrainedRun:
    """A full training that has ended.

    Args:
        name: of the network and its start: the name of its folder.
        kind: what was trained; a baseline is a model of timm's.
        trial: the number of the trial, if it is one.
        seed: of the training; an index from 0, the same for all networks of a command.
        start: what the training began with: the weights of the trial, random ones, or timm's.
        architecture_id: of the architecture as it was trained; None for a baseline.
        macs: multiply-adds of an image; None if they could not be counted.
        params: number of parameters.
        recipe: the recipe, plain JSON.
        recipe_digest: of the recipe and the teacher, hexadecimal.
        fingerprint: of the images.
        epochs: one entry per epoch (`trainers.training.epoch.Epoch.to_dict`).
        val_accuracy: on the validation split after the last epoch, 0 to 1.
        test_accuracy: on the test split, measured once at the end, 0 to 1.
        test_confusion: the confusion matrix on the test split (`Confusion.to_dict`); None if it was not kept.
        wall_s: seconds of the training, all its segments together, without pauses.
        device: name of the processor or GPU.
        versions: package -> version.
        teacher: the timm model whose outputs were distilled; None: there was none.
        images_per_s: throughput, measured as that of the trials of the study; None: it was not measured.
        processes: number of processes that trained it together.

    Raises:
        ValueError: a field breaks its rule; the message names it.
    """

    name: str
    kind: RunKind
    trial: int | None
    seed: int
    start: RunStart
    architecture_id: str | None
    macs: int | None
    params: int
    recipe: Mapping[str, Any]
    recipe_digest: str
    fingerprint: str
    epochs: tuple[Mapping[str, Any], ...]
    val_accuracy: float
    test_accuracy: float
    test_confusion: Mapping[str, Any] | None
    wall_s: float
    device: str
    versions: Mapping[str, str] = field(default_factory=dict)
    teacher: str | None = None
    images_per_s: float | None = None
    processes: int = 1

    def __post_init__(self) -> None:
        _require("kind", self.kind in get_args(RunKind), f"must be one of {', '.join(get_args(RunKind))}", self.kind)
        _require(
            "start", self.start in get_args(RunStart), f"must be one of {', '.join(get_args(RunStart))}", self.start
        )
        _require("name", _is_name(self.name, self.kind, self.start), "must be that of a run of this kind", self.name)
        own_name = run_name("trial", str(self.trial), self.start)
        is_trial = is_index(self.trial) and self.name == own_name if self.kind == "trial" else self.trial is None
        _require("trial", is_trial, "must be the number of the trial in the name, for a trial alone", self.trial)
        _require("seed", is_index(self.seed), "must be a number from 0", self.seed)
        _require("architecture_id", _is_text(self.architecture_id), "must be text", self.architecture_id)
        _require("macs", self.macs is None or _is_count(self.macs), "must be a number from 0", self.macs)
        _require("params", _is_count(self.params), "must be a number from 0", self.params)
        for name in ("recipe", "versions"):
            _require(name, isinstance(getattr(self, name), Mapping), "must be a mapping", getattr(self, name))
        _require("recipe", _is_json(self.recipe), "must be JSON with finite numbers", self.recipe)
        _require("versions", all(isinstance(v, str) for v in self.versions.values()), "must be texts", self.versions)
        is_digest = isinstance(self.recipe_digest, str) and _DIGEST.fullmatch(self.recipe_digest) is not None
        _require("recipe_digest", is_digest, "must be 12 hexadecimal digits or more", self.recipe_digest)
        for name in ("fingerprint", "device"):
            _require(name, isinstance(getattr(self, name), str), "must be text", getattr(self, name))
        for name in ("val_accuracy", "test_accuracy"):
            value = getattr(self, name)
            _require(name, is_number(value) and 0 <= value <= 1, "must be a share from 0 to 1", value)
        is_duration = is_number(self.wall_s) and 0 <= self.wall_s < math.inf
        _require("wall_s", is_duration, "must be a number of seconds", self.wall_s)
        _require("teacher", _is_text(self.teacher), "must be text", self.teacher)
        speed = self.images_per_s
        is_speed = speed is None or (is_number(speed) and 0 < speed < math.inf)
        _require("images_per_s", is_speed, "must be a number above 0", speed)
        _require("processes", is_index(self.processes) and self.processes > 0, "must be at least 1", self.processes)
        _check_epochs(self.epochs)
        _require(
            "test_confusion", _is_confusion(self.test_confusion), "must be a confusion matrix", self.test_confusion
        )

    @property
    def confusion(self) -> Confusion | None:
        """The confusion matrix on the test split; None if it was not kept."""
        return None if self.test_confusion is None else confusion_of(self.test_confusion)

    @property
    def subject(self) -> str:
        """What was trained, as a user names it: `trial 12`, `vit_tiny_patch16`, `resnet18`; without its start."""
        name = self.name.removesuffix(_SUFFIXES[self.start]).removeprefix(f"{_PREFIXES[self.kind]}-")
        return f"trial {self.trial}" if self.kind == "trial" else name

    def folder(self, root: Path) -> Path:
        """The folder of this run below `root`, the folder of its study."""
        return run_folder(root, self.name, self.recipe_digest, self.seed)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, with its schema number."""
        return {"schema": SCHEMA, **asdict(self), "epochs": [dict(epoch) for epoch in self.epochs]}

    @classmethod
    def from_dict(cls, plain: Any) -> RetrainedRun:
        """The inverse of `to_dict`; keys that this version does not know are ignored.

        Raises:
            ValueError: it is no record, has a higher schema number, or a field breaks its rule.
        """
        if not isinstance(plain, Mapping) or not is_index(plain.get("schema")):
            raise ValueError("it must be a record with a schema number")
        if plain["schema"] > SCHEMA:
            raise ValueError(f"schema: must be at most {SCHEMA}, found {plain['schema']}")
        fields = {name: plain[name] for name in cls.__dataclass_fields__ if name in plain}
        _require("epochs", isinstance(fields.get("epochs"), list), "must be a list", fields.get("epochs"))
        try:
            return cls(**{**fields, "epochs": tuple(fields["epochs"])})
        except TypeError:
            missing = [name for name in cls.__dataclass_fields__ if name not in plain and name not in _OPTIONAL]
            raise ValueError(f"the keys {', '.join(missing)} are missing") from None


_OPTIONAL = ("versions", "teacher", "images_per_s", "processes")
"""Fields that earlier versions did not write."""


@dataclass(frozen=True)
class RetrainedRuns:
    """The full trainings of a study that have ended.

    Args:
        runs: by name, digest and seed.
        remarks: a line for each record that could not be read.
    """

    runs: tuple[RetrainedRun, ...]
    remarks: tuple[str, ...] = ()


def run_name(kind: RunKind, name: str, start: RunStart = "scratch") -> str:
    """The name of a run: `run_name("baseline", "resnet18", "pretrained")` is `timm-resnet18-pretrained`."""
    return f"{_PREFIXES[kind]}-{name}{_SUFFIXES[start]}"


def run_folder(root: Path, name: str, recipe_digest: str, seed: int) -> Path:
    """The folder of the files of a run of the study in the folder `root`."""
    return root / RETRAINED / name / recipe_digest[:DIGEST_CHARS] / f"seed-{seed}"


def retrained_runs(folder: Path) -> tuple[RetrainedRun, ...]:
    """The full trainings that have ended of the study in `folder`; damaged records are left out (`read_retrained` says why)."""
    return read_retrained(folder).runs


def read_retrained(folder: Path) -> RetrainedRuns:
    """The full trainings that have ended of the study in `folder`; none if it has none, or cannot be read."""
    runs, remarks = [], []
    for file in islice(_result_files(folder / RETRAINED), MAX_RUNS):
        try:
            runs.append(read_run(file))
        except ValueError as error:
            remarks.append(str(error))
    return RetrainedRuns(tuple(sorted(runs, key=lambda run: (run.name, run.recipe_digest, run.seed))), tuple(remarks))


def read_run(file: Path) -> RetrainedRun:
    """The record in `file`, which must be that of its folder.

    Raises:
        ValueError: it cannot be read, is damaged, or is that of another run.
    """
    try:
        run = RetrainedRun.from_dict(parse_json(read_input(file, MAX_RESULT_BYTES)))
    except OSError as error:
        raise ValueError(f"{printable(file)}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ValueError(f"{printable(file)}: is no record of a training: {printable(error)[:200]}") from None
    expected = run_folder(Path(), run.name, run.recipe_digest, run.seed).parts[1:]
    if file.parent.parts[-3:] != expected:
        raise ValueError(f"{printable(file)}: is the record of another run: {'/'.join(expected)}")
    return run


def _result_files(folder: Path) -> Iterator[Path]:
    """The records below `folder`, three folders deep; names of other forms, and links, are not followed."""
    for named in _folders(folder, _NAME):
        for recipe in _folders(named, _DIGEST):
            for run in _folders(recipe, re.compile(r"seed-[0-9]{1,10}")):
                if os.path.lexists(run / RESULT):
                    yield run / RESULT


def _folders(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            found = [e.name for e in entries if pattern.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [folder / name for name in sorted(found)]


def _require(name: str, is_met: bool, rule: str, value: object) -> None:
    if not is_met:
        raise ValueError(f"{name}: {rule}, found {value!r:.60}")


def _is_name(name: object, kind: str, start: str) -> bool:
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        return False
    return name.startswith(f"{_PREFIXES[kind]}-") and name.endswith(_SUFFIXES[start])


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT


def _check_epochs(epochs: tuple[Mapping[str, Any], ...]) -> None:
    _require("epochs", len(epochs) > 0, "must be at least one", ())
    for number, epoch in enumerate(epochs, start=1):
        _require("epochs", isinstance(epoch, Mapping), "must be mappings", epoch)
        read = Epoch.from_dict({name: epoch.get(name) for name in Epoch.__dataclass_fields__})
        _require("epochs", read.epoch == number, "must be numbered from 1", read.epoch)


def _is_confusion(plain: object) -> bool:
    if plain is None:
        return True
    if not isinstance(plain, Mapping) or not {"totals", "predicted", "correct", "confusions"} <= plain.keys():
        return False
    confusion = confusion_of(plain)
    if confusion is None:
        return False
    classes = len(confusion.totals) if confusion.totals.ndim == 1 else 0
    columns = (confusion.totals, confusion.predicted, confusion.correct)
    if not classes or any(column.shape != (classes,) or (column < 0).any() for column in columns):
        return False
    pairs, counts = confusion.pairs, confusion.counts
    return bool((pairs >= 0).all() and (pairs < classes).all() and (counts >= 0).all())
