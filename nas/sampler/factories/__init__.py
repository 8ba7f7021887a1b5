"""The samplers that a study can name, one file each; every module of this package registers its own.

All but `pareto` treat every objective as a black box. They may propose an architecture again: the caller refuses duplicates.
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
