"""Activation memory of one image in a training step, exact, from the description (see `search_space/costs.py`)."""

from nas.objectives.base import Objective, register

ACTIVATION_BYTES = register(
    Objective(
        name="activation_bytes",
        label="activation memory",
        unit="bytes",
        direction="minimize",
        cheap=True,
        log=True,
    )
)
