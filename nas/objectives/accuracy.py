"""Validation accuracy at the end of training: the share of images that are classified correctly, 0 to 1."""

from nas.objectives.base import Objective, register

ACCURACY = register(
    Objective(
        name="accuracy",
        label="validation accuracy",
        unit="",
        direction="maximize",
        log=False,
        source="trained",
        value=lambda trained: trained.history[-1].val_accuracy,
        always_shown=True,
        is_goal=True,
    )
)
