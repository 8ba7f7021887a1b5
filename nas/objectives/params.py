"""Number of parameters, exact."""

from nas.objectives.base import Objective, register
from nas.objectives.costs import costs_of

PARAMS = register(
    Objective(
        name="params",
        label="parameters",
        unit="",
        direction="minimize",
        log=True,
        source="cost",
        value=lambda architecture: costs_of(architecture).params,
        always_shown=True,
    )
)
