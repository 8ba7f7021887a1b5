"""Common corruptions of images at five severities (Hendrycks and Dietterich, ICLR 2019, arXiv:1903.12261).

These are own implementations on batches of tensors, of a part of the kinds of ImageNet-C, so accuracies are not comparable with
published ones. The strengths are those of ImageNet-C for images of 224 pixels; `base.py` says how they are scaled to others.
"""

from __future__ import annotations

import importlib
import pkgutil

from trainers.measuring.corruptions.base import CORRUPTIONS, SEVERITIES, Corruption, corrupt, seeded_generator

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["CORRUPTIONS", "SEVERITIES", "Corruption", "corrupt", "seeded_generator"]
