"""The noise of one training, as `nas fidelity` measured it for a study."""

from __future__ import annotations

import json
import math
from pathlib import Path

from nas.study.layout import FIDELITY, FINDINGS


def accuracy_noise(folder: Path) -> float | None:
    """The standard deviation of the accuracy between trainings of one architecture that differ in their seed.

    Args:
        folder: the folder of the study.

    Returns:
        A share of images, such as 0.004; None if `nas fidelity` has not measured it, or its findings cannot be read.
    """
    try:
        findings = json.loads((folder / FIDELITY / FINDINGS).read_text(encoding="utf-8"))
        points = float(findings["noise"]["proxy"]["deviation"]["value"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return points / 100 if math.isfinite(points) and points > 0 else None
