"""Writes a network in a format, runs the file and compares it: a file that exists was compared."""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn

from nas.errors import MachineError, StudyError, UsageError
from nas.models.formats.artifact import Artifact
from nas.models.formats.graph import exporting
from nas.models.formats.registry import InputShape, check_format
from search_space.modules.portable import portable
from trainers.disk import is_disk_error
from trainers.files import atomic_folder
from trainers.measuring.effort import Effort, default_batch_size
from trainers.measuring.timing import time_call, warm_up

OUTPUT_TOLERANCE = 1e-4
"""The largest difference of an output from that of the network, as a share of the largest output, or absolute if that is below 1.

The outputs of a trained network may be larger than 1, and single precision has relative rounding errors. A network that amplifies
rounding errors may differ more: by twice the difference of its own outputs from those in double precision, since the file and the
network round in different ways.
"""
COMPARED_BATCH_SIZES = (1, 3)

CPU = torch.device("cpu")
Run = Callable[[torch.Tensor], torch.Tensor]


def write_artifact(
    module: nn.Module,
    input_shape: InputShape,
    format_name: str,
    folder: Path,
    *,
    metadata: Mapping[str, str] | None = None,
    batch_size: int | None = None,
) -> Artifact:
    """Write `module` in a format to a file in `folder`, run the file, compare its outputs with those of `module`, and time it.

    The file takes images that are normalised; `metadata` may hold the mean and the standard deviation. It holds float32 weights.

    Args:
        module: `(B, C, H, W) -> one tensor`: a network of ours, or of timm; not changed.
        input_shape: (C, H, W) of the images; the file takes only these.
        format_name: a name of `FORMATS`.
        folder: a folder, which is made if it does not exist; the file replaces one of its name.
        metadata: key -> text, stored in the file where the format can.
        batch_size: images of a timed pass; None: as in the measurements of a study.

    Raises:
        UnknownNameError: there is no such format.
        UsageError: a package is missing, the module does not take or return one tensor, or `folder` may not be written.
        FormatRefusedError: the format cannot hold the module; the error names the operator and the mixer.
        StudyError: the outputs differ.
        MachineError: the disk is full or broken. After any error `folder` is as it was.
    """
    model_format = check_format(format_name)
    reference = copy.deepcopy(module).eval().to(CPU).float()
    images = torch.randn(max(COMPARED_BATCH_SIZES), *input_shape, generator=torch.Generator().manual_seed(0))
    outputs = _outputs(reference, images)
    with _disk_errors(folder), atomic_folder(folder) as draft:
        file = draft / model_format.file_name
        start = time.perf_counter()
        with exporting():
            model_format.write(portable(reference, input_shape), input_shape, file, metadata or {})
        write_s = time.perf_counter() - start
        run = model_format.load(file)
        difference = _largest_difference(run, images, outputs)
        scale = float(outputs.abs().max()) if outputs.numel() else 0.0
        tolerance = OUTPUT_TOLERANCE * max(1.0, scale)
        if not difference <= tolerance and not difference <= 2 * _rounding_error(reference, images, outputs):
            rule = f"must be those of the network, found a difference of {difference:g} (largest output: {scale:g})"
            raise StudyError(f"format {format_name}: outputs {rule}")
        batch_size = batch_size or default_batch_size("cpu")
        return Artifact(
            format=format_name,
            file=folder / model_format.file_name,
            size_bytes=sum(part.stat().st_size for part in draft.iterdir()),
            largest_difference=difference,
            images_per_s=batch_size / _pass_s(run, input_shape, batch_size),
            write_s=write_s,
            producer={package: version(package) for package in ("torch", *model_format.packages)},
            largest_output=scale,
            batch_size=batch_size,
        )


@torch.inference_mode()
def _outputs(reference: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """What `reference` returns for `images`.

    Raises:
        UsageError: it does not take them, or returns no single tensor.
    """
    try:
        outputs = reference(images)
    except (RuntimeError, ValueError, TypeError) as error:
        shape = "x".join(map(str, images.shape[1:]))
        raise UsageError(f"input_shape: must be that of the images of the network, found {shape}: {error}") from error
    if not isinstance(outputs, torch.Tensor):
        raise UsageError(f"the network must return one tensor, found {type(outputs).__name__}")
    return outputs


def _largest_difference(run: Run, images: torch.Tensor, outputs: torch.Tensor) -> float:
    """The largest absolute difference of what `run` returns from `outputs`, for batches of several sizes; NaN if one is NaN."""
    differences = []
    for size in COMPARED_BATCH_SIZES:
        found = run(images[:size])
        if found.shape != outputs[:size].shape:
            return math.nan
        differences.append((found - outputs[:size]).abs().max())
    return float(torch.stack(differences).max())


@torch.inference_mode()
def _rounding_error(reference: nn.Module, images: torch.Tensor, outputs: torch.Tensor) -> float:
    """The largest absolute difference of `outputs` from those of `reference` in double precision."""
    exact = copy.deepcopy(reference).double()(images.double())
    return float((outputs - exact).abs().max())


def _pass_s(run: Run, input_shape: InputShape, batch_size: int) -> float:
    """The median seconds of a pass of random images, after a warm-up."""
    images = torch.randn(batch_size, *input_shape, generator=torch.Generator().manual_seed(0))
    effort = Effort()
    warm_up(lambda: time_call(lambda: run(images), CPU))
    seconds: list[float] = []
    total_s = 0.0  # a fast network is passed a hundred thousand times: a sum in each turn would take most of the time
    while len(seconds) < effort.min_repeats or total_s < effort.max_time_s:
        seconds.append(time_call(lambda: run(images), CPU))
        total_s += seconds[-1]
    return statistics.median(seconds)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = MachineError if is_disk_error(error) else UsageError
        raise kind(f"{folder}: the model cannot be written ({error.strerror or error})") from error
