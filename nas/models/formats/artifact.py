"""What is known of a file that `write_artifact` wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Artifact:
    """A written file, compared with the network and timed.

    Args:
        format: the name of the format.
        file: the file.
        size_bytes: of the file, with those of its external data if it has any.
        largest_difference: the largest absolute difference of an output from that of the network.
        images_per_s: on the CPU, with the threads of torch.
        write_s: seconds to export and write it.
        producer: package -> version, of the packages that wrote it.
        largest_output: the largest absolute value of an output of the network, for the scale of `largest_difference`.
        batch_size: images of a timed pass.

    Raises:
        ValueError: a number is negative.
    """

    format: str
    file: Path
    size_bytes: int
    largest_difference: float
    images_per_s: float
    write_s: float
    producer: Mapping[str, str]
    largest_output: float
    batch_size: int

    def __post_init__(self) -> None:
        for name in ("size_bytes", "largest_difference", "images_per_s", "write_s", "largest_output", "batch_size"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: must not be negative, found {getattr(self, name)}")

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain JSON; of `file`, the name."""
        return {**vars(self), "file": self.file.name, "producer": dict(self.producer)}
