"""nas: from a study to a front to a model. Launches searches, shows the front, exports the winners.

    from nas import Study, StudyConfig, export, search

    config = StudyConfig.from_file("studies/digits.yaml", "trials=20")
    study = Study.open_or_create("runs/digits", config)
    search(study)                          # resumable
    study.results().front                  # a pandas.DataFrame
    export(study, "best", "model/")        # timm.create_model("local-dir:model/", pretrained=True)

The names of `__all__` are imported when they are first used (PEP 562), so that `import nas` is fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas.analysis.results import Results
    from nas.api import Study, search
    from nas.models.export import export
    from nas.models.retrain.api import retrain
    from nas.objectives import Objective
    from nas.sampler import ParetoSampler
    from nas.study.config import StudyConfig

    __version__: str

__all__ = [
    "Objective",
    "ParetoSampler",
    "Results",
    "Study",
    "StudyConfig",
    "__version__",
    "export",
    "retrain",
    "search",
]

_MODULE_OF = {
    "Objective": "nas.objectives",
    "ParetoSampler": "nas.sampler",
    "Results": "nas.analysis.results",
    "Study": "nas.api",
    "StudyConfig": "nas.study.config",
    "export": "nas.models.export",
    "retrain": "nas.models.retrain.api",
    "search": "nas.api",
}


def __getattr__(name: str) -> object:
    value: object
    if name == "__version__":
        from importlib.metadata import version

        value = version("mixfront")
    elif name in _MODULE_OF:
        value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
