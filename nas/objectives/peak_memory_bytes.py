"""Memory: the most bytes held at one time while a batch passes forward (`trainers.measuring.memory`)."""

from nas.objectives.base import MeasurableNetwork, Measurement, Objective, register


def _measure(network: MeasurableNetwork) -> Measurement:
    from trainers.measuring.memory import peak_memory_bytes  # torch: only workers measure

    peak_bytes = peak_memory_bytes(
        network.network, network.input_shape, device=network.device, batch_size=network.batch_size
    )
    return Measurement(peak_bytes)


PEAK_MEMORY_BYTES = register(
    Objective(
        name="peak_memory_bytes",
        label="peak memory",
        unit="bytes",
        direction="minimize",
        log=True,
        source="measured",
        value=_measure,
    )
)
