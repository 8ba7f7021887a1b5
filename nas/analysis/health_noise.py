"""The finding about noise: whether the differences along the front are larger than those between repeated trainings."""

from __future__ import annotations

import math

import numpy as np

from nas.analysis.fidelity_file import read_fidelity
from nas.analysis.finding import Finding, grade
from nas.analysis.results import Results
from nas.formatting import count

SOME_NOISE, MUCH_NOISE = 0.1, 1 / 3
"""Standard deviation of one training as a share of the range of the front. The difference of two trainings has 1.4 times that
deviation: from a tenth of the range on, neighbours on a front of some ten trials change places by chance; at a third, a front
of three trials does."""

MAX_CURVES = 200
"""Learning curves from which a lower bound of the noise is taken, the latest ones."""

MIN_CURVES = 5
MIN_FRONT = 3
"""Trials on the front that have a range worth the name."""


def noise_finding(results: Results) -> Finding:
    """The noise of one training against the spread of the front in the primary objective."""
    key, title = "noise", "Noise of a training"
    primary = results.primary
    if primary.name != "accuracy":
        text = f"Noise is measured for accuracy, and this study trains for {primary.label}."
        return Finding(key, title, "unknown", "not measured", text)
    values = results.front[primary.name].to_numpy(dtype=np.float64)
    spread = float(np.ptp(values)) if len(values) else 0.0
    noise, source = _noise(results)
    if math.isnan(noise):
        text = "How much two trainings of one architecture differ is not known; `nas fidelity` measures it."
        return Finding(key, title, "unknown", "not measured", text)
    if len(values) < MIN_FRONT or spread <= 0:
        text = f"One training varies by {noise:.4f} ({source}); the front is too small to compare."
        return Finding(key, title, "unknown", f"± {noise:.4f}", text)
    share = noise / spread
    verdict = grade(share, SOME_NOISE, MUCH_NOISE)
    text = f"One training varies by {noise:.4f} ({source}), {100 * share:.0f} % of the front's range of {spread:.4f}."
    if verdict != "good":
        text += " Neighbours on the front may have changed places by chance: train longer, or retrain the candidates."
    elif source != _MEASURED:
        return Finding(key, title, "unknown", f"≥ {noise:.4f}", f"{text} `nas fidelity` measures the true noise.")
    return Finding(key, title, verdict, f"± {noise:.4f}", text)


_MEASURED = "measured by nas fidelity"


def _noise(results: Results) -> tuple[float, str]:
    """The standard deviation of one training, and where it comes from; NaN if nothing is known."""
    epochs = (results.config.get("train") or {}).get("epochs")
    measured = read_fidelity(results.folder, epochs)
    if measured is not None and not math.isnan(measured.noise):
        return measured.noise, _MEASURED
    changes = _last_changes(results)
    if len(changes) < MIN_CURVES:
        return math.nan, ""
    # A difference of two epochs has twice the variance of one; their mean is learning, and is taken out.
    deviation = float(np.std(changes)) / math.sqrt(2)
    return deviation, f"a lower bound, from the last epochs of {count(len(changes), 'trial')}"


def _last_changes(results: Results) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The change of validation accuracy from the last but one to the last validated epoch, of complete trials."""
    changes = []
    for curve in results.complete["curve"].iloc[::-1]:
        accuracies = [entry["val_accuracy"] for entry in curve or () if entry.get("val_accuracy") is not None]
        if len(accuracies) > 1:
            changes.append(accuracies[-1] - accuracies[-2])
        if len(changes) == MAX_CURVES:
            break
    return np.array(changes, dtype=np.float64)
