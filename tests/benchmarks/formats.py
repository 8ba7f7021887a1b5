"""Every mixer and every preset through every format: difference of outputs, size, seconds to write, images per second.

    python tests/benchmarks/formats.py                                # every mixer, and presets of images of 32 pixels
    python tests/benchmarks/formats.py --presets all --formats onnx pt2 --json formats.jsonl
    python tests/benchmarks/formats.py --mixers none --presets all --only gfnet

A mixer stands in two blocks of 24 channels on a map of 7 x 7, in each variant of `tests/search_space/mixer_cases.py`; presets
have their own images. Networks are new ones of the usual initialisation, see `calibrated_network`; `relative` is the largest
difference divided by the largest output where that is above 1. The last line counts those that failed, on which the exit code
depends, and those above 1e-4 that are accepted because the network itself rounds so much (see `nas.models.formats.writing`).
Formats whose packages are not installed are left out. ExecuTorch takes one image at a time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from nas.errors import StudyError, UsageError
from nas.models.formats import FORMATS, check_format, write_artifact
from nas.models.formats.writing import OUTPUT_TOLERANCE
from search_space import Architecture, build, presets
from search_space.errors import SpaceError
from search_space.mixers import MIXERS
from search_space.modules.layers import LayerScale
from search_space.modules.network import Network

sys.path.insert(0, str(Path(__file__).parents[1] / "search_space"))
from mixer_cases import VARIANTS

SMALL_PIXELS = 32 * 32
HEAD = f"{'network':<62} {'format':<11}{'difference':>11}{'relative':>10}{'MB':>8}{'write s':>9}{'images/s':>10}"


@dataclass(frozen=True)
class Result:
    """One network in one format; where it failed, `error` says why and the numbers are None."""

    network: str
    format: str
    difference: float | None = None
    relative: float | None = None
    largest_output: float | None = None
    size_bytes: int | None = None
    write_s: float | None = None
    images_per_s: float | None = None
    batch_size: int | None = None
    error: str = ""

    @property
    def passes(self) -> bool:
        """Whether the format holds the network and `write_artifact` accepted its outputs."""
        return not self.error

    def line(self) -> str:
        """The row of the table."""
        if self.error or self.size_bytes is None:
            return f"{self.network:<62} {self.format:<11}{self.error}"
        return (
            f"{self.network:<62} {self.format:<11}{self.difference:>11.1e}{self.relative:>10.1e}"
            f"{self.size_bytes / 1e6:>8.2f}{self.write_s:>9.1f}{self.images_per_s:>10.1f}"
        )


def mixer_networks() -> Iterator[tuple[str, Architecture]]:
    """A network for each variant of each mixer that fits the map."""
    for name in sorted(MIXERS):
        for options in VARIANTS.get(name, [{}]):
            stage = {"mixer": {"name": name, **options}, "width": 24, "depth": 2, "norm": "layer"}
            try:
                network = Architecture.from_dict({"stages": [stage], "stem": {"patch": 2}, "image_size": 14})
            except SpaceError as error:
                print(f"{name} {options}: {error}", file=sys.stderr)
                continue
            yield " ".join([name, *(f"{key}={value}" for key, value in options.items())]), network


def preset_networks(which: str) -> Iterator[tuple[str, Architecture]]:
    """The presets, from the smallest image and the fewest stages on; `which`: none, small or all."""
    for name in () if which == "none" else presets.names():
        architecture = presets.get(name)
        height, width = architecture.image_size
        if which == "all" or height * width <= SMALL_PIXELS:
            yield name, architecture


def calibrated_network(architecture: Architecture) -> Network:
    """A new network whose blocks all count: layer scales of 1, and batch norms with the statistics of random images.

    Without that the outputs of some presets hardly depend on their blocks, and no difference would be seen.
    """
    torch.manual_seed(0)
    network = build(architecture)
    for module in network.modules():
        if isinstance(module, LayerScale):
            nn.init.ones_(module.gamma)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches
    with torch.no_grad():
        network.train()(torch.randn(4, architecture.in_chans, *architecture.image_size))
    return network.eval()


def measure(label: str, architecture: Architecture, format_name: str, batch_size: int) -> Result:
    """Write the network to a temporary folder."""
    shape = (architecture.in_chans, *architecture.image_size)
    network = calibrated_network(architecture)
    try:
        with tempfile.TemporaryDirectory() as folder:
            artifact = write_artifact(network, shape, format_name, Path(folder), batch_size=batch_size)
    except StudyError as error:
        return Result(label, format_name, error=str(error))
    return Result(
        label,
        format_name,
        artifact.largest_difference,
        artifact.largest_difference / max(1.0, artifact.largest_output),
        artifact.largest_output,
        artifact.size_bytes,
        artifact.write_s,
        artifact.images_per_s,
        artifact.batch_size,
    )


def installed_formats(names: list[str]) -> list[str]:
    """Those of `names` whose packages are installed; the others are named on stderr."""
    installed = []
    for name in names:
        try:
            installed.append(check_format(name).name)
        except UsageError as error:
            print(error, file=sys.stderr)
    return installed


def main() -> int:
    """Measure and print the table; 1 if a network fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", nargs="+", choices=sorted(FORMATS), default=sorted(FORMATS))
    parser.add_argument("--mixers", choices=["all", "none"], default="all")
    parser.add_argument("--presets", choices=["none", "small", "all"], default="small")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="networks whose name contains one of these")
    parser.add_argument("--batch", type=int, default=8, help="images of a timed pass")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="a file to which each result is appended as a line")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    networks = [*(mixer_networks() if arguments.mixers == "all" else ()), *preset_networks(arguments.presets)]
    results: list[Result] = []
    start = time.perf_counter()
    print(HEAD)
    for label, architecture in networks:
        if arguments.only and not any(word in label for word in arguments.only):
            continue
        for format_name in installed_formats(arguments.formats):
            results.append(measure(label, architecture, format_name, arguments.batch))
            print(results[-1].line(), flush=True)
            if arguments.json:
                with arguments.json.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(results[-1])) + "\n")
    failed = [result for result in results if not result.passes]
    above = sum(result.relative is not None and result.relative > OUTPUT_TOLERANCE for result in results)
    outcome = (
        f"{len(failed)} failed, {above} above {OUTPUT_TOLERANCE:g} and within twice the rounding error of the network"
    )
    print(f"{len(results)} networks and formats in {time.perf_counter() - start:.0f} s: {outcome}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
