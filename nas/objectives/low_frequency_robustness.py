"""Accuracy on validation images with noise of low spatial frequency at the end of training, 0 to 1.

The noise has a root mean square of 0.1 (of pixels taken as 0..1) and lies in the lowest octave of spatial frequencies, which
holds one cycle per image: broad bright and dark areas. At most 2,000 images are evaluated, the same for every network
(`trainers.training.robustness`).
"""

from nas.objectives.base import Objective, TrainedNetwork, register


def _value(trained: TrainedNetwork) -> float:
    from trainers.measuring.frequency import octave_bands  # here, since they import torch
    from trainers.training.robustness import band_accuracy

    band = octave_bands(trained.data.image_size)[0]
    return band_accuracy(trained.network, trained.data.val, trained.data, band, trained.config.amp)


LOW_FREQUENCY_ROBUSTNESS = register(
    Objective(
        name="low_frequency_robustness",
        label="validation accuracy under noise of low frequency",
        unit="",
        direction="maximize",
        log=False,
        source="trained",
        value=_value,
    )
)
