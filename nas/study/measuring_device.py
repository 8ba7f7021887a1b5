"""The kind of device on which a study measures throughput, latency and memory: values of different devices do not compare.

The key `throughput.device` names it. Without the key it is the device of the first measurement, whose name the user attribute
`throughput_device` of the study keeps, and a measurement on another device ends the search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nas.errors import ConfigError, MachineError
from nas.study.config import StudyConfig
from nas.study.device_kind import DEVICE_TYPES, is_of_kind

ATTRIBUTE = "throughput_device"
"""The user attribute of a study."""


def check_kind(config: StudyConfig, attributes: Mapping[str, Any]) -> None:
    """Check that a study may go on with the key `throughput.device` of `config`.

    Args:
        config: the configuration.
        attributes: the user attributes of the study.

    Raises:
        ConfigError: the study has measured on a device that the key does not name.
    """
    kind, measured = config.throughput.device, attributes.get(ATTRIBUTE)
    if kind is None or not isinstance(measured, str) or kind in DEVICE_TYPES:
        return
    if not is_of_kind(measured, kind):
        rule = f"throughput.device: must name the device that the study has measured on, {measured}, found {kind}"
        raise ConfigError(config.where("throughput", "device"), rule)


class SameDevice:
    """Makes sure that a study whose configuration names no device measures on one device alone.

    Args:
        settle: stores the name of the device of a first measurement, and returns that of the study, which another driver may
            have stored before.
    """

    def __init__(self, settle: Callable[[str], str]) -> None:
        self._settle = settle
        self._name: str | None = None

    def check(self, device: str | None) -> None:
        """Check a measurement on `device`; None: there is none.

        Raises:
            MachineError: the study has measured on another device.
            StorageError: the storage cannot be read or written.
        """
        if device is None:
            return
        if self._name is None:
            self._name = self._settle(device)
        if device != self._name:
            rule = "throughput.device: must name the device to measure throughput on, since workers have different ones"
            raise MachineError(f"{rule}: {self._name} and {device}; with it, the same command continues the search")
