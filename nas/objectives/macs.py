"""Multiply-accumulates of one image, exact, from the description (one multiply-add = 1 MAC; FFTs apart)."""

from nas.objectives.base import Objective, register

MACS = register(Objective(name="macs", label="MACs", unit="MACs", direction="minimize", cheap=True, log=True))
