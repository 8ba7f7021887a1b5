"""Measured latency: the median milliseconds that the worker's device takes for one image."""

from nas.objectives.base import Objective, register

LATENCY_MS = register(
    Objective(name="latency_ms", label="latency", unit="ms", direction="minimize", cheap=False, log=True)
)
