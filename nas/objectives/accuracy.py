"""Validation accuracy at the end of training: the share of images named rightly, 0 to 1."""

from nas.objectives.base import Objective, register

ACCURACY = register(
    Objective(name="accuracy", label="validation accuracy", unit="", direction="maximize", cheap=False, log=False)
)
