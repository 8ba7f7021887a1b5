"""The objectives of a study, found by name; every module of this package registers its own."""

import importlib
import pkgutil

from nas.objectives.base import OBJECTIVES, Direction, Objective, get, register

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["OBJECTIVES", "Direction", "Objective", "get", "register"]
