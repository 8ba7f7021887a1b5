"""Findings about the images, and about what a network reaches without looking at them."""

from __future__ import annotations

from nas.analysis.baseline import STANDARD_ERRORS, majority_baseline
from nas.analysis.dataset_summary import find_majority, leak_warnings
from nas.analysis.finding import Finding
from nas.analysis.imbalance import MAX_MAJORITY_SHARE
from nas.analysis.results import Results
from nas.formatting import printable, ratio, value_text


def images_finding(results: Results) -> Finding:
    """Leaks between splits, and a class that has most of the images."""
    key, title = "images", "Images"
    leaks = leak_warnings(results.dataset)
    majority = find_majority(results.dataset, "train")
    if leaks:
        text = f"{'; '.join(leaks)}. Values on the validation and the test split are too high by what was seen in training."
        return Finding(key, title, "bad", f"{len(leaks)} leak{'s' if len(leaks) > 1 else ''}", text)
    if majority is None:
        return Finding(key, title, "unknown", "not recorded", "The study does not record the images of its classes.")
    if majority.share >= MAX_MAJORITY_SHARE and results.primary.name == "accuracy":
        name = printable(majority.class_name)
        text = (
            f"{100 * majority.share:.0f} % of the training images are of class '{name}'; accuracy says little then, and the"
            " objectives balanced_accuracy and macro_f1 count classes equally."
        )
        return Finding(key, title, "warn", f"{100 * majority.share:.0f} % one class", text)
    return Finding(key, title, "good", "no warning", "No leak between splits and no overwhelming class was found.")


def baseline_finding(results: Results) -> Finding:
    """Whether the best trial is better than always answering the most frequent class."""
    key, title, primary, best = "baseline", "Better than chance", results.primary, results.best
    baseline = majority_baseline(results)
    if best is None:
        return Finding(key, title, "unknown", "no trials", "No trial is complete yet.")
    if baseline is None:
        text = "The study does not record its classes, or does not train for a score of classification."
        return Finding(key, title, "unknown", "not recorded", text)
    value = float(best[primary.name])
    compared = f"{value_text(primary, value)} against {ratio(baseline.value)}"
    answer = f"always answering '{printable(baseline.class_name)}'"
    if value <= baseline.value + STANDARD_ERRORS * baseline.error:
        text = f"The best trial is no better than {answer}: nothing was learned. Check the images, train.lr and train.epochs."
        return Finding(key, title, "bad", compared, text)
    return Finding(key, title, "good", compared, f"The best {primary.label} is above that of {answer}.")
