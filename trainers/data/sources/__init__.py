"""Where images come from. A new source is one new file in this folder that ends in `register(...)`.

Every module of this folder is imported when the package is, which makes its sources known. None of them imports torch,
so a configuration is validated without it.
"""

from __future__ import annotations

import importlib
import pkgutil

from trainers.data.sources.base import SOURCES, Source, check_parts, get, register

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["SOURCES", "Source", "check_parts", "get", "register"]
