"""Multiply-accumulates of one image, exact (one multiply-add is 1 MAC; Fourier transforms are counted apart)."""

from nas.objectives.base import Objective, register
from nas.objectives.costs import costs_of

MACS = register(
    Objective(
        name="macs",
        label="MACs",
        unit="MACs",
        direction="minimize",
        log=True,
        source="cost",
        value=lambda architecture: costs_of(architecture).macs,
        always_shown=True,
    )
)
