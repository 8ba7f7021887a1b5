"""Parent-weight inheritance: what a study records of a training that started from the weights of another trial.

With `train.inherit: nearest` a trial takes over the tensors of the nearest trained one that match by name and shape, and is
trained for a third of the epochs. It then pauses at that epoch, as at a rung: its accuracy there is an intermediate value, which
the sampler tells from that of a complete training. When no further trial starts, those on the front are trained from their own
initial weights to the end, and the others are stopped: so every complete trial was trained from scratch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nas.study.attribute_types import is_index, is_number
from nas.study.layout import INHERITED_WEIGHTS, WEIGHTS

INHERITED = "inherited"
"""The user attribute of a trial that has inherited weights: `Inheritance.to_dict`."""
EPOCHS_DIVISOR = 3
"""An inherited training has the epochs of a complete one divided by this."""


def inherited_epochs(epochs: int) -> int:
    """The epochs of an inherited training, where a complete one has `epochs`."""
    return max(1, round(epochs / EPOCHS_DIVISOR))


@dataclass(frozen=True)
class Inheritance:
    """From which trial a training takes its first weights over.

    Args:
        parent: the number of that trial.
        file: the file of its weights: of its training from scratch (`WEIGHTS`), or of its inherited one (`INHERITED_WEIGHTS`).
        epochs: of the inherited training.
        tensors: number of tensors that were copied; None as long as the training has not ended.
        parameters: the share of the parameters that were copied, 0 to 1; None likewise.
    """

    parent: int
    file: str
    epochs: int
    tensors: int | None = None
    parameters: float | None = None

    def __post_init__(self) -> None:
        if self.file not in (WEIGHTS, INHERITED_WEIGHTS):
            raise ValueError(f"file: must be {WEIGHTS} or {INHERITED_WEIGHTS}, found {self.file!r}")
        if not is_index(self.parent) or not is_index(self.epochs) or self.epochs < 1:
            raise ValueError(f"parent and epochs: must be whole numbers, found {self.parent!r} and {self.epochs!r}")
        if self.parameters is not None and not (is_number(self.parameters) and 0 <= self.parameters <= 1):
            raise ValueError(f"parameters: must be 0 to 1, found {self.parameters!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> Inheritance | None:
        """That of the trial with these user attributes; None if it has none, or one of another shape."""
        plain = attributes.get(INHERITED)
        try:
            return cls(**plain) if isinstance(plain, Mapping) else None
        except (TypeError, ValueError):
            return None

    @property
    def text(self) -> str:
        """In words: "83 % of the parameters of trial 5, 7 epochs"."""
        share = "the weights" if self.parameters is None else f"{100 * self.parameters:.0f} % of the parameters"
        return f"{share} from trial {self.parent}, {self.epochs} epoch{'' if self.epochs == 1 else 's'}"
