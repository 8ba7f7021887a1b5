"""Throughput and latency of an architecture before it is built: the sum of its operators', which were measured one by one.

A space has millions of architectures, of a few hundred operators (`search_space.operators`). Those are timed when a study
begins, the ones that architectures have most of first, for as long as the study allows; of what was not, the time is
estimated from its family: a sum of shares of its MACs, Fourier operations, numbers and parameters, none negative.

What a network's operators do not tell (how well maps stay in the caches from one to the next) is left to what is measured of
whole networks: the sampler takes a prediction as one feature of the model that it fits to those. Needs no torch.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search_space import Architecture, SearchSpace
from search_space.operators import Operator, operators
from trainers.files import replacing

Floats = NDArray[np.float64]

FILE = "operators.json"
SAMPLE = 1000  # random architectures whose operators are timed
FEW = 4  # of each family are timed before any more of others: a cheap one, a dear one, two between
PREDICTED = ("images_per_s", "latency_ms")


@dataclass(frozen=True)
class Entry:
    """A measured operator.

    Args:
        family: of `Operator.family`.
        kind: of `Operator.kind`.
        traits: `traits_of` it.
        seconds: of a pass of the table's batch.
    """

    family: str
    kind: str
    traits: tuple[float, ...]
    seconds: float


def traits_of(operator: Operator) -> tuple[float, ...]:
    """What the time of an operator is a sum of shares of: itself, MACs, Fourier operations, numbers, parameters."""
    cost = operator.cost
    return (1.0, float(cost.macs), float(cost.fft_flops), float(operator.io_numel), float(cost.params))


class OperatorTable:
    """The times of operators on one device.

    Args:
        entries: `Operator.key` -> what was measured; one at least.
        batch_size: images of a pass.
    """

    def __init__(self, entries: Mapping[str, Entry], batch_size: int) -> None:
        self.entries = dict(entries)
        self.batch_size = batch_size
        self._shares: dict[str, Floats] = {}
        self._seconds: dict[Operator, float] = {}

    def seconds(self, architecture: Architecture) -> float:
        """Predicted seconds of a pass of `batch_size` images through `architecture`."""
        return sum(count * self._of_operator(operator) for operator, count in operators(architecture).items())

    def images_per_s(self, architecture: Architecture) -> float:
        """Predicted throughput."""
        return self.batch_size / self.seconds(architecture)

    def latency_ms(self, architecture: Architecture) -> float:
        """Predicted milliseconds of a pass."""
        return 1000 * self.seconds(architecture)

    def _of_operator(self, operator: Operator) -> float:
        if operator not in self._seconds:
            known = self.entries.get(operator.key)
            self._seconds[operator] = known.seconds if known is not None else self.estimated(operator)
        return self._seconds[operator]

    def estimated(self, operator: Operator) -> float:
        """The seconds of `operator` from those of its like."""
        family, kind = operator.family, operator.kind
        if family not in self._shares:
            levels = (
                [entry for entry in self.entries.values() if entry.family == family],
                [entry for entry in self.entries.values() if entry.kind == kind],
                list(self.entries.values()),
            )
            self._shares[family] = shares(next((like for like in levels if len(like) >= FEW), levels[-1]))
        return float(np.array(traits_of(operator)) @ self._shares[family])


def shares(entries: Sequence[Entry]) -> Floats:
    """The seconds for each trait that explain `entries` best, by least squares of relative errors; none negative."""
    from scipy.optimize import nnls  # takes a while, and a complete table needs none

    seconds = np.array([entry.seconds for entry in entries])
    traits = np.array([entry.traits for entry in entries]) / seconds[:, None]
    unit = np.maximum(traits.max(axis=0), 1e-300)
    return np.asarray(nnls(traits / unit, np.ones(len(seconds)))[0] / unit)


def wanted(space: SearchSpace, seed: int = 0) -> list[Operator]:
    """The operators of random architectures of `space`, the ones that tell most first.

    A few of each family, then by how much work they stand for.
    """
    rng = np.random.default_rng(seed)
    counts: Counter[Operator] = Counter()
    for _ in range(SAMPLE):
        counts.update(operators(space.sample(rng)))
    work = {operator: sum(traits_of(operator)[1:]) for operator in counts}
    families: defaultdict[str, list[Operator]] = defaultdict(list)
    for operator in sorted(counts, key=lambda one: (work[one], one.key)):
        families[operator.family].append(operator)
    first = dict.fromkeys(operator for like in families.values() for operator in _spread(like))
    rest = sorted(counts.keys() - first.keys(), key=lambda one: (-counts[one] * work[one], one.key))
    return [*first, *rest]


def _spread(like: Sequence[Operator]) -> Iterable[Operator]:
    """`FEW` of operators in order, its ends among them."""
    return (like[round(i * (len(like) - 1) / (FEW - 1))] for i in range(FEW))


def entries_of(timed: Sequence[Operator], seconds: Iterable[float]) -> dict[str, Entry]:
    """The entries of `timed` operators."""
    return {
        operator.key: Entry(operator.family, operator.kind, traits_of(operator), one)
        for operator, one in zip(timed, seconds, strict=False)
    }


def write(tables: Mapping[str, OperatorTable], file: Path) -> None:
    """Keep `tables` (objective -> table) in `file`."""
    plain = {
        name: {
            "batch_size": table.batch_size,
            "operators": {key: asdict(entry) for key, entry in table.entries.items()},
        }
        for name, table in tables.items()
    }
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(plain, indent=1))


def read(file: Path) -> dict[str, OperatorTable]:
    """The tables in `file`; none if there is no such file, or one that is damaged: they tell nothing that cannot be measured."""
    try:
        plain = json.loads(file.read_text())
        return {
            name: OperatorTable(
                {
                    key: Entry(entry["family"], entry["kind"], tuple(entry["traits"]), float(entry["seconds"]))
                    for key, entry in table["operators"].items()
                },
                int(table["batch_size"]),
            )
            for name, table in plain.items()
        }
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}
