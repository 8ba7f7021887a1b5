"""Latency: median milliseconds of a pass of one image on the worker's device."""

from nas.objectives.base import MeasurableNetwork, Measurement, Objective, register, timing_details


def _measure(network: MeasurableNetwork) -> Measurement:
    timing = network.timing(1)
    return Measurement(timing.latency_ms, timing_details(timing))


LATENCY_MS = register(
    Objective(
        name="latency_ms",
        label="latency",
        unit="ms",
        direction="minimize",
        log=True,
        source="measured",
        value=_measure,
        details_name="latency",
        from_seconds=lambda seconds, images: 1000 * seconds,
        pass_images=1,
    )
)
