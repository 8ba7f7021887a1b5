"""Measured memory: the most bytes held at one time while one batch passes forward (see `trainers/measuring/memory.py`)."""

from nas.objectives.base import Objective, register

PEAK_MEMORY_BYTES = register(
    Objective(name="peak_memory_bytes", label="peak memory", unit="bytes", direction="minimize", cheap=False, log=True)
)
