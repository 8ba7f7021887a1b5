"""Full trainings: trials, architectures, presets and models of timm, by one recipe, on the images of a study.

    from nas import Study, retrain
    runs = retrain(Study.open("runs/digits"), "best", "convmixer_256_8_cifar", baselines=["resnet18"], seeds=3)

- `run` goes from a request to the records; `request` is what it gets and gives, `api` and `nas.cli.retrain` make it.
- `prepare` checks the request before anything is written: `subjects` are the networks it names, `named_recipes` is how they are
  trained, `plan` the runs and the workers.
- `processes` trains the runs, on workers or under torchrun; `training` is what happens in one.
- `forecast` says what would be trained, and for how long; `tables` shows both in the terminal.

`nas.study.retrained` has the records and the layout of the files. The names below are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas.models.retrain.api import retrain
    from nas.models.retrain.subjects.subject import FrontSelection
    from nas.models.retrain.training.loading import load_retrained, retrained_network

__all__ = ["FrontSelection", "load_retrained", "retrain", "retrained_network"]

_MODULE_OF = {
    "FrontSelection": "nas.models.retrain.subjects.subject",
    "load_retrained": "nas.models.retrain.training.loading",
    "retrain": "nas.models.retrain.api",
    "retrained_network": "nas.models.retrain.training.loading",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)
