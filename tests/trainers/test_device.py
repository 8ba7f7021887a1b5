"""The condition of a device."""

from __future__ import annotations

import torch

from trainers.device import device_condition


def test_condition_of_the_processor_is_plausible_or_unknown() -> None:
    clock_mhz, temperature_c = device_condition(torch.device("cpu"))
    assert clock_mhz is None or 100 < clock_mhz < 10_000
    assert temperature_c is None or -50 < temperature_c < 150
    assert device_condition(torch.device("meta")) == (None, None)
