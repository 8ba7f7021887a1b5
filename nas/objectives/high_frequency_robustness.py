"""Accuracy on validation images with noise of high spatial frequency at the end of training, 0 to 1.

The noise has a root mean square of 0.1 (of pixels taken as 0..1) and lies in the highest octave of spatial frequencies, 0.25 to
0.5 cycles per pixel: fine grain. At most 2,000 images are evaluated, the same for every network (`trainers.training.robustness`).
"""

from nas.objectives.base import Objective, TrainedNetwork, register


def _value(trained: TrainedNetwork) -> float:
    from trainers.measuring.frequency import octave_bands  # here, since they import torch
    from trainers.training.robustness import band_accuracy

    band = octave_bands(trained.data.image_size)[-1]
    return band_accuracy(trained.network, trained.data.val, trained.data, band, trained.config.amp)


HIGH_FREQUENCY_ROBUSTNESS = register(
    Objective(
        name="high_frequency_robustness",
        label="validation accuracy under noise of high frequency",
        unit="",
        direction="maximize",
        log=False,
        source="trained",
        value=_value,
    )
)
