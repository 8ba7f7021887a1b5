"""Measured inference throughput: median images a second on the worker's device after warm-up."""

from nas.objectives.base import Objective, register

IMAGES_PER_S = register(
    Objective(name="images_per_s", label="throughput", unit="images/s", direction="maximize", cheap=False, log=True)
)
