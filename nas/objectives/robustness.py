"""Robustness: accuracy on corrupted validation images at the end of training, 0 to 1 (`trainers.training.robustness`).

Each of at most 2,000 validation images has one of six common corruptions (Hendrycks and Dietterich, ICLR 2019): noise, two kinds
of blur, low contrast, fog, low resolution, at the third of five severities. Every network sees the same images.
"""

from nas.objectives.base import Objective, TrainedNetwork, register


def _value(trained: TrainedNetwork) -> float:
    from trainers.training.robustness import corruption_accuracy  # here, since it imports torch

    return corruption_accuracy(trained.network, trained.data.val, trained.data, trained.config.amp)


ROBUSTNESS = register(
    Objective(
        name="robustness",
        label="validation accuracy under corruptions",
        unit="",
        direction="maximize",
        log=False,
        source="trained",
        value=_value,
    )
)
