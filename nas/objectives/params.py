"""Number of parameters, exact, from the description."""

from nas.objectives.base import Objective, register

PARAMS = register(Objective(name="params", label="parameters", unit="", direction="minimize", cheap=True, log=True))
