"""The licences of data sets, where they are known. A licence that is not known is left out, never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class DataLicence:
    """The licence of a data set.

    Args:
        name: its SPDX identifier.
        source: the data set as its publisher calls it.
    """

    name: str
    source: str


_LICENCES: Mapping[str, DataLicence] = {
    "digits": DataLicence("CC-BY-4.0", "Optical Recognition of Handwritten Digits, UCI Machine Learning Repository"),
}


def licence_of(source: str) -> DataLicence | None:
    """The licence of the data of the data source `source` (`data.source` of a study); None if it is not known."""
    return _LICENCES.get(source)
