"""The objectives of a study, found by name; every module of this package registers its own (see `nas.objectives.base`)."""

import importlib
import pkgutil

from nas.objectives.base import (
    OBJECTIVES,
    SOURCES,
    Direction,
    MeasurableNetwork,
    Measurement,
    Objective,
    Source,
    TrainedNetwork,
    from_dict,
    get,
    names,
    primary_index,
    register,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "OBJECTIVES",
    "SOURCES",
    "Direction",
    "MeasurableNetwork",
    "Measurement",
    "Objective",
    "Source",
    "TrainedNetwork",
    "from_dict",
    "get",
    "names",
    "primary_index",
    "register",
]
