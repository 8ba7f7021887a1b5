"""The formats, one file each, with everything that concerns the library that writes or runs it. Imports no torch."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
