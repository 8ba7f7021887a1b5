"""The teacher of a distillation: a full training of the same study, or a model of timm with its weights.

    timm-resnet50        a run below `retrained/` (of those on the study's images the one with the best validation accuracy)
    local-dir:FOLDER     a folder that timm or `nas export` wrote, with `model.safetensors`
    NAME                 a model of timm whose published weights have the study's number of classes

It is checked before anything is trained. Needs no torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.errors import UsageError, reason
from nas.formatting import printable, shell_path
from nas.models.timm_names import check_model_name
from nas.study.layout import WEIGHTS
from nas.study.retrained import RetrainedRun, retrained_runs
from trainers.data.description import DatasetInfo
from trainers.input_files import read_json
from trainers.training.weights_file import DamagedWeightsError, check_tensors

LOCAL = "local-dir:"
CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class Teacher:
    """A teacher that was found.

    Args:
        name: as the user named it.
        folder: of the run, as text; None: timm loads it by its name.
        digest: of what decides its outputs, hexadecimal.
    """

    name: str
    folder: str | None
    digest: str


def find_teacher(name: str, root: Path, images: DatasetInfo) -> Teacher:
    """Find the teacher `name`.

    Args:
        name: see above.
        root: the folder whose `retrained/` may hold it.
        images: of the study.

    Raises:
        UsageError: there is none, it has other classes, or its weights are missing or damaged.
    """
    runs = [run for run in retrained_runs(root) if run.name == name]
    if runs:
        return _run_teacher(name, runs, root, images)
    if name.startswith(LOCAL):
        return _folder_teacher(name, images)
    check_model_name(name, "--teacher")
    import timm

    config = timm.get_pretrained_cfg(name)
    classes = None if config is None else config.num_classes
    _check_classes(name, classes, images, f"; train it first (--baseline {name}), and name its run: timm-{name}")
    return Teacher(name, None, hashlib.sha256(f"timm {name}".encode()).hexdigest())


def _run_teacher(name: str, runs: Sequence[RetrainedRun], root: Path, images: DatasetInfo) -> Teacher:
    """The best of `runs` on these images whose weights are there and intact."""
    fitting = [run for run in runs if run.fingerprint == images.fingerprint]
    if not fitting:
        raise UsageError(f"--teacher: {name} was trained on other images, found {shell_path(runs[0].folder(root))}")
    flaws: list[str] = []
    for run in sorted(fitting, key=lambda run: -run.val_accuracy):
        folder = run.folder(root)
        try:
            check_tensors(folder / WEIGHTS)
        except FileNotFoundError:
            flaws.append(f"the weights of {name} are missing from {folder}")
        except DamagedWeightsError as error:
            flaws.append(f"the weights of {name} in {folder} are damaged: {error}")
        else:
            return Teacher(name, str(folder.resolve()), _file_digest(folder / WEIGHTS))
    raise UsageError(f"--teacher: {flaws[0]}")


def _folder_teacher(name: str, images: DatasetInfo) -> Teacher:
    folder = Path(name.removeprefix(LOCAL))
    try:
        config = read_json(folder / CONFIG_FILE)
        digest = _file_digest(folder / WEIGHTS)
    except (OSError, ValueError) as error:
        rule = f"must be a folder with {CONFIG_FILE} and {WEIGHTS}, as timm and `nas export` write it"
        raise UsageError(f"--teacher: {rule}, found {printable(name)} ({reason(error)})") from None
    _check_classes(name, config.get("num_classes") if isinstance(config, dict) else None, images)
    return Teacher(f"{LOCAL}{folder.resolve()}", None, digest)


def _check_classes(name: str, found: object, images: DatasetInfo, hint: str = "") -> None:
    expected = len(images.class_names)
    if found != expected:
        raise UsageError(f"--teacher: must have the {expected} classes of the study, found {found} in {name}{hint}")


def _file_digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
