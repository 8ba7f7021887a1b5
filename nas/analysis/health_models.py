"""Findings about what stands in for a full training: the sampler's model, rungs, the proxy, and predicted throughput."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.analysis.fidelity_file import MIN_RANKED, read_fidelity
from nas.analysis.finding import Finding, Verdict, grade
from nas.analysis.prediction_quality import compare_predictions, missing_note
from nas.analysis.results import Results
from nas.analysis.statistics import kendall
from nas.formatting import count
from nas.objectives import OBJECTIVES
from nas.sampler.prediction import INTERVAL_PROBABILITY

MAX_PAIRS = 500
"""Trials of a rank correlation, the latest ones: it compares all pairs."""

MAX_PREDICTED_TRIALS = 40
"""Trials whose throughput is predicted again, a few milliseconds each."""

MIN_PAIRS = 10
"""Trials below which a rank correlation is chance: with 10, tau varies by about 0.25 without any relation."""

GOOD_TAU, SOME_TAU = 0.5, 0.2
"""Kendall's tau. At 0.5 three of four pairs are in the right order, at 0.2 six of ten: hardly more than by chance."""

GOOD_MODEL_TAU, SOME_MODEL_TAU = 0.3, 0.0
"""Lower for the sampler's model: it proposes what it expects to be good or does not know, which are the pairs hardest to
order. Below 0 it misleads."""

MIN_COVERAGE, MAX_COVERAGE = 0.5, 0.85
"""Share of results within the interval of 68 %. Outside, the model is over- or under-confident."""

MAX_PREDICTION_ERROR = 0.2
"""Median relative error of predicted throughput; a limit with such an error refuses and admits the wrong networks."""

Floats = NDArray[np.float64]


def sampler_finding(results: Results) -> Finding:
    """How well the sampler's model predicted the primary objective of the trials that it proposed."""
    key, title, primary = "sampler", "Model of the sampler", results.primary
    pairs = _predicted_pairs(results)
    if len(pairs) < MIN_PAIRS:
        text = f"Fewer than {MIN_PAIRS} complete trials have a stored prediction; the sampler `pareto` stores them."
        return Finding(key, title, "unknown", count(len(pairs), "prediction"), text)
    trained, median, low, high = pairs.T
    tau = _tau(median, trained)
    covered = float(np.mean((trained >= low) & (trained <= high)))
    bias = float(np.mean(trained - median))
    verdict: Verdict = "warn" if np.isnan(tau) else grade(tau, GOOD_MODEL_TAU, SOME_MODEL_TAU)
    if verdict == "good" and not MIN_COVERAGE <= covered <= MAX_COVERAGE:
        verdict = "warn"
    confidence = "about right"
    if covered < MIN_COVERAGE:
        confidence = "too sure"
    elif covered > MAX_COVERAGE:
        confidence = "too cautious"
    text = (
        f"Over {count(len(pairs), 'trial')}: Kendall tau {tau:.2f}, mean difference {bias:+.4f} in {primary.label}; "
        f"{100 * covered:.0f} % are within the interval of {100 * INTERVAL_PROBABILITY:.0f} %, so the model is {confidence}."
    )
    if verdict == "bad":
        text += " It does not rank what it proposes; compare with another sampler (`nas bench search`)."
    return Finding(key, title, verdict, f"tau {tau:.2f}", text)


def _predicted_pairs(results: Results) -> Floats:
    """`(n, 4)`: value, median, low and high of the latest complete trials with a prediction."""
    name, rows = results.primary.name, []
    if "predicted" in results.complete:
        table = results.complete[["predicted", name]].dropna().tail(MAX_PAIRS)
        for predicted, value in zip(table["predicted"], table[name], strict=True):
            if len(predicted.get(name) or ()) == 3:
                rows.append((value, *predicted[name]))
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def rung_findings(results: Results) -> Iterator[Finding]:
    """How well the value at the lowest rung ranks the trials that were trained to the end; nothing without rungs.

    An inherited training (`nas.study.outcomes.inheritance`) counts as a rung.
    """
    inherits = (results.config.get("train") or {}).get("inherit", "none") != "none"
    key, title = "rungs", "Ranking by inherited trainings" if inherits else "Rungs of the scheduler"
    has_scheduler = (results.config.get("scheduler") or {}).get("name", "none") != "none"
    rungs: Any = results.complete.get("rungs")
    by_epoch: dict[int, list[tuple[float, float]]] = {}
    if rungs is not None:
        table = results.complete[rungs.map(bool).astype(bool)].tail(MAX_PAIRS)
        for reached, final in zip(table["rungs"], table[results.primary.name], strict=True):
            for epoch, value in reached.items():
                by_epoch.setdefault(int(epoch), []).append((value, final))
    if not by_epoch and not has_scheduler and not inherits:
        return
    pairs = {epoch: np.array(found) for epoch, found in by_epoch.items() if len(found) >= MIN_PAIRS}
    if not pairs:
        text = f"Fewer than {MIN_PAIRS} trials have passed a rung and were trained to the end."
        yield Finding(key, title, "unknown", "too few trials", text)
        return
    taus = {epoch: _tau(found[:, 0], found[:, 1]) for epoch, found in sorted(pairs.items())}
    lowest = next(iter(taus))
    verdict: Verdict = "unknown" if np.isnan(taus[lowest]) else grade(taus[lowest], GOOD_TAU, SOME_TAU)
    listed = ", ".join(f"{tau:.2f} after epoch {epoch}" for epoch, tau in taus.items())
    text = f"Kendall tau with the final {results.primary.label}: {listed}, among those that were promoted, which differ least."
    if verdict not in ("good", "unknown"):
        text += (
            " Trainings from scratch (train.inherit=none) rank better; `nas fidelity` tells how much."
            if inherits
            else " A later first rung (scheduler.first_epochs) stops fewer good architectures."
        )
    yield Finding(key, title, verdict, f"tau {taus[lowest]:.2f}", text)


def proxy_finding(results: Results) -> Finding:
    """How well the study's training ranks architectures compared with a longer one."""
    key, title = "proxy", "Ranking by the short training"
    epochs = (results.config.get("train") or {}).get("epochs")
    measured = read_fidelity(results.folder, epochs)
    proxy, large = ([], []) if measured is None else measured.means
    if len(proxy) < MIN_RANKED:
        text = "Whether the short training ranks architectures as a long one does is not known; `nas fidelity` measures it."
        return Finding(key, title, "unknown", "not measured", text)
    tau = _tau(np.array(proxy), np.array(large))
    verdict: Verdict = "unknown" if np.isnan(tau) else grade(tau, GOOD_TAU, SOME_TAU)
    text = f"Kendall tau of {epochs} epochs with the longest training is {tau:.2f} over {count(len(proxy), 'architecture')}."
    if verdict not in ("good", "unknown"):
        text += " The front may not hold after a full training; more epochs (train.epochs) rank better."
    return Finding(key, title, verdict, f"tau {tau:.2f}", text)


def prediction_findings(results: Results) -> Iterator[Finding]:
    """How well each measured objective was predicted; nothing in a study without predictions."""
    for quality in compare_predictions(results, MAX_PREDICTED_TRIALS):
        title = f"Prediction of {OBJECTIVES[quality.objective].label}"
        tau, error = quality.kendall_tau, quality.median_error
        key = f"prediction_{quality.objective}"
        if tau is None or quality.trials < MIN_PAIRS:
            text = f"Only {count(quality.trials, 'trial')} can be compared."
            yield Finding(key, title, "unknown", count(quality.trials, "trial"), text)
            continue
        verdict = grade(tau, GOOD_TAU, SOME_TAU)
        if verdict == "good" and error > MAX_PREDICTION_ERROR:
            verdict = "warn"
        text = f"Kendall tau {tau:.2f} and a median error of {100 * error:.0f} % over {count(quality.trials, 'trial')}."
        if verdict != "good":
            text += " A longer timing of operators (throughput.operators_s) predicts better."
        yield Finding(key, title, verdict, f"tau {tau:.2f}", text)
    note = missing_note(results)
    if note:
        yield Finding(
            "prediction", "Prediction of throughput", "unknown", "unknown", f"The prediction quality is {note}."
        )


def _tau(x: Floats, y: Floats) -> float:
    """Kendall's tau-b; NaN if one of both is constant."""
    return float(kendall(x, y, np.ones((1, len(x))))[0])
