"""Inference throughput: median images a second on the worker's device, after warm-up (`trainers.measuring.throughput`)."""

from nas.objectives.base import MeasurableNetwork, Measurement, Objective, register, timing_details


def _measure(network: MeasurableNetwork) -> Measurement:
    timing = network.timing(network.batch_size)
    return Measurement(timing.images_per_s, timing_details(timing))


IMAGES_PER_S = register(
    Objective(
        name="images_per_s",
        label="throughput",
        unit="images/s",
        direction="maximize",
        log=True,
        source="measured",
        value=_measure,
        details_name="throughput",
        from_seconds=lambda seconds, images: images / seconds,
        always_shown=True,
    )
)
