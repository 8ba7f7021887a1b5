"""Standalone files of all presets, and of every mixer with its defaults: largest difference, lines of code, seconds.

    python tests/benchmarks/standalone.py [NAME ...]

The difference is that of the outputs of a new network in evaluation mode, relative to the largest output where that is above 1.
"Equal" says whether the outputs are the same to the bit. Lines are those of the file without the names of classes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import torch

from nas.models.standalone import write_standalone
from nas.models.standalone.writing import import_file
from search_space import Architecture, build, presets
from search_space.mixers import MIXERS


def architectures() -> dict[str, Architecture]:
    """The presets, and a network of two stages for each mixer."""
    mixers = {}
    for name in MIXERS:
        stage = {"mixer": name, "width": 24}
        stages = [stage, stage | {"width": 48, "downsample": 2}]
        mixers[name] = Architecture.from_dict({"stages": stages, "stem": {"patch": 2}, "image_size": 32})
    return mixers | {name: presets.get(name) for name in presets.names()}


def measure(name: str, architecture: Architecture) -> str:
    """One line of the table."""
    torch.manual_seed(0)
    network = build(architecture).eval()
    names = [f"class {number}" for number in range(architecture.num_classes)]
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        start = time.perf_counter()
        numbers = [0.5] * architecture.in_chans
        file = write_standalone(network, Path(folder), class_names=names, mean=numbers, std=numbers, name=name)
        seconds = time.perf_counter() - start
        images = torch.randn(1, architecture.in_chans, *architecture.image_size)
        expected, outputs = network(images), import_file(file).load(folder)(images)
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith('    "class ')]
    difference = float((outputs - expected).abs().max() / expected.abs().max().clamp(min=1))
    equal = "yes" if torch.equal(outputs, expected) else "no"
    return f"{name:26} {difference:12.2g} {equal:>6} {len(lines):6} {seconds:8.1f}"


def main() -> None:
    """Print the table."""
    chosen = architectures()
    print(f"{'network':26} {'difference':>12} {'equal':>6} {'lines':>6} {'seconds':>8}")
    for name in sys.argv[1:] or chosen:
        print(measure(name, chosen[name]), flush=True)


if __name__ == "__main__":
    main()
