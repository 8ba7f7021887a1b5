"""The parts of an export that other packages write: further formats, and the standalone file."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.errors import UnknownNameError
from nas.models.export.options import ExportOptions
from nas.models.export.trained_model import TrainedModel


@dataclass(frozen=True)
class WrittenArtifact:
    """A file in a further format.

    Args:
        format: the name of the format.
        file: the name of the file.
        size_bytes: its size.
        largest_difference: between an output of the network and of the file when it is run.
        images_per_s: the throughput of the file on this machine; None: it was not measured.
        producer: the packages that wrote and ran it, with their versions.
    """

    format: str
    file: str
    size_bytes: int
    largest_difference: float
    images_per_s: float | None
    producer: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return dict(vars(self))


def check_formats(names: Sequence[str]) -> None:
    """Check that each of `names` is a format that can be written, before any work is done.

    Raises:
        UnknownNameError: one is not known.
    """
    if not names:
        return
    known = _formats().FORMATS
    for name in names:
        if name not in known:
            raise UnknownNameError("--format", "format", name, known)


def write_artifacts(trained: TrainedModel, folder: Path, options: ExportOptions) -> tuple[WrittenArtifact, ...]:
    """Write the network of `trained` in each of the formats of `options`, and its standalone file, to `folder`.

    Raises:
        StudyError: a format cannot hold the network, or what was written gives other outputs.
    """
    network, images = trained.network, trained.images
    shape = (network.in_chans, *network.architecture.image_size)
    written = []
    for name in dict.fromkeys(options.formats):
        artifact = _formats().write_artifact(network, shape, name, folder)
        written.append(
            WrittenArtifact(
                format=name,
                file=Path(artifact.file).name,
                size_bytes=int(artifact.size_bytes),
                largest_difference=float(artifact.largest_difference),
                images_per_s=None if artifact.images_per_s is None else float(artifact.images_per_s),
                producer=str(artifact.producer),
            )
        )
    if options.standalone:
        standalone = importlib.import_module("nas.models.standalone")
        standalone.write_standalone(network, folder, class_names=images.class_names, mean=images.mean, std=images.std)
    return tuple(written)


def _formats() -> Any:
    return importlib.import_module("nas.models.formats")
