"""Activation memory of one image in a training step, exact (`search_space.costs` says what is counted)."""

from nas.objectives.base import Objective, register
from nas.objectives.costs import costs_of

ACTIVATION_BYTES = register(
    Objective(
        name="activation_bytes",
        label="activation memory",
        unit="bytes",
        direction="minimize",
        log=True,
        source="cost",
        value=lambda architecture: costs_of(architecture).activation_bytes,
    )
)
