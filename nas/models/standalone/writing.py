"""Writes a standalone file, runs it and compares its outputs with those of the network."""

from __future__ import annotations

import copy
import importlib.machinery
import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import torch

from nas.errors import MachineError, StudyError, UsageError
from nas.models.standalone.document import Contents, document
from nas.study.destinations import check_folder
from search_space.modules.network import Network
from trainers.files import atomic_write
from trainers.training.checkpoint import save_weights

MODEL_FILE = "model.py"
WEIGHTS_FILE = "model.safetensors"
OUTPUT_TOLERANCE = 1e-6
"""Largest difference of outputs, in float32 on a CPU; times the largest output where that is above 1."""
logger = logging.getLogger(__name__)


def write_standalone(
    network: Network,
    folder: Path,
    *,
    class_names: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    name: str = "",
    origin: str = "",
    accuracy: str = "",
) -> Path:
    """Write `model.py`, which builds exactly `network` with torch alone and loads `model.safetensors` beside it.

    The file is run and its outputs are compared with those of the network. Weights that are in the folder already are used; else
    they are written.

    Args:
        network: a network with its classifier.
        folder: the folder; created if it does not exist.
        class_names: of the outputs, in their order.
        mean: of each channel, pixels taken as 0..1.
        std: likewise.
        name: of the model; empty: its id.
        origin: where it comes from, for the docstring.
        accuracy: with the data that it was measured on, for the docstring.

    Returns:
        The file.

    Raises:
        UsageError: `network` is no network with a classifier, the names or numbers do not fit it, the folder cannot be
            written to, or the source of a mixer cannot become part of a file.
        StudyError: the outputs differ.
        MachineError: the disk is full or broken.
    """
    _check(network, class_names, mean, std)
    check_folder(folder)
    architecture = network.architecture
    given = tuple(str(class_name) for class_name in class_names)
    title = name or f"mixfront-{architecture.id}"
    text = document(architecture, Contents(given, tuple(mean), tuple(std), title, origin, accuracy))
    file, weights = folder / MODEL_FILE, folder / WEIGHTS_FILE
    has_weights = weights.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not has_weights:
            save_weights(weights, network, {"format": "pt"})
        with atomic_write(file) as draft:
            draft.write_text(text, encoding="utf-8", newline="\n")
            difference = _difference(network, draft, folder)
            logger.info("%s: outputs differ by %.2g, %d lines", file, difference, text.count("\n"))
    except OSError as error:
        raise MachineError(f"{error.filename or folder}: cannot be written ({error.strerror or error})") from error
    finally:
        if not has_weights and not file.exists():
            weights.unlink(missing_ok=True)
    return file


def _check(network: object, class_names: Sequence[str], mean: Sequence[float], std: Sequence[float]) -> None:
    if type(network) is not Network:
        raise UsageError(f"standalone: the network must be a mixfront Network, found {type(network).__name__}")
    if not network.num_classes or network.global_pool != "avg":
        raise UsageError("standalone: the network must have its classifier and average pooling")
    if len(class_names) != network.num_classes:
        raise UsageError(f"standalone: class_names must be {network.num_classes} names, found {len(class_names)}")
    for argument, values in (("mean", mean), ("std", std)):
        if len(values) != network.in_chans:
            raise UsageError(f"standalone: {argument} must be {network.in_chans} numbers, found {len(values)}")


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a file of Python without writing its bytecode beside it."""

    def set_data(self, path: str, data: object, *, _mode: int = 0o666) -> None:
        """Nothing is written."""


def import_file(file: Path) -> ModuleType:
    """The module in `file`, which is run; no bytecode is written."""
    loader = _Loader("standalone_model", str(file))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    if spec is None:
        raise StudyError(f"{file}: cannot be imported")
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@torch.inference_mode()
def _difference(network: Network, draft: Path, folder: Path) -> float:
    """The largest difference between the outputs of the network and of the file.

    Raises:
        StudyError: it is too large, or the weights do not fit.
    """
    reference = copy.deepcopy(network).to(device="cpu", dtype=torch.float32).eval()
    shape = (2, network.in_chans, *network.image_size)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    try:
        with torch.random.fork_rng(devices=[]):
            loaded = import_file(draft).load(folder)
    except (ValueError, RuntimeError) as error:
        raise StudyError(f"{folder / MODEL_FILE}: {WEIGHTS_FILE} cannot be loaded: {error}") from error
    expected = reference(images)
    difference = float((loaded(images) - expected).abs().max())
    if not difference <= OUTPUT_TOLERANCE * max(1.0, float(expected.abs().max())):
        raise StudyError(f"{folder / MODEL_FILE}: its outputs differ from those of the network by {difference:g}")
    return difference
