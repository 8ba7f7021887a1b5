"""The head of a report: the data, the search, the numbers that sum the study up, and what is missing."""

from __future__ import annotations

import math

from nas.analysis.baseline import majority_baseline
from nas.analysis.failures import group_failures
from nas.analysis.prediction_quality import compare_predictions, missing_note
from nas.analysis.results import Results
from nas.analysis.time_breakdown import break_down_time
from nas.formatting import MISSING, count, duration, printable, ratio, value_text
from nas.html import Fact
from nas.objectives import OBJECTIVES


def headline(results: Results) -> list[Fact]:
    """The numbers at the head of the page."""
    counts = results.state_counts
    others = [f"{number} {state}" for state, number in counts.items() if state != "complete"]
    front_size = len(results.front)
    return [
        Fact("complete trials", str(counts.get("complete", 0)), ", ".join(others) or "no other trials"),
        _best_fact(results),
        Fact("Pareto front", str(front_size), f"non-dominated trial{'' if front_size == 1 else 's'}"),
        Fact("hypervolume", ratio(results.hypervolume), "of the box from the worst to the best values seen"),
        *_failure_facts(results),
        *_time_facts(results),
        *_prediction_facts(results),
    ]


def missing_lines(results: Results) -> list[str]:
    """What the report cannot show because files of the study's folder are missing, a sentence each."""
    lines = []
    untested = int(results.front["test_accuracy"].isna().sum())
    if untested:
        lines.append(
            f"Test accuracy is missing for {untested} of {count(len(results.front), 'trial')} on the front:"
            " `nas report` measures it where it finds the study's decoded images (data/) and weights (trials/)."
        )
    note = missing_note(results)
    return lines + ([f"The prediction quality is {note}."] if note else [])


def _best_fact(results: Results) -> Fact:
    best = results.best
    if best is None:
        return Fact("best", MISSING, "no trial is complete yet")
    objective = results.primary
    test_value = results.test_value(best["trial"], objective.name)
    tested = "" if math.isnan(test_value) else f", test {ratio(test_value)}"
    value = value_text(objective, best[objective.name])
    baseline = majority_baseline(results)
    chance = "" if baseline is None else f"; always '{printable(baseline.class_name)}' gives {ratio(baseline.value)}"
    return Fact(f"best {objective.label}", value, f"trial {best['trial']}{tested}{chance}")


def _failure_facts(results: Results) -> list[Fact]:
    """The failed trials and their reasons."""
    groups = group_failures(results)
    if not groups:
        return []
    number = sum(len(group.trials) for group in groups)
    return [Fact("failed trials", str(number), ", ".join(map(str, groups)))]


def _time_facts(results: Results) -> list[Fact]:
    times = break_down_time(results)
    if times.training_share is None:
        return []
    devices = " and ".join(sorted({device for device in results.trials["device"] if device}))
    where = f" on {devices}" if devices else ""
    overhead = f"{times.overhead_s_per_trial:.2f} s overhead per trial"
    note = f"{100 * times.training_share:.0f} % of the workers' time{where}, {overhead}"
    return [Fact("training time", duration(times.train_s), note)]


def _prediction_facts(results: Results) -> list[Fact]:
    """Kendall's tau of each predicted objective."""
    facts = []
    for quality in compare_predictions(results):
        tau = MISSING if quality.kendall_tau is None else f"{quality.kendall_tau:.2f}"
        note = f"Kendall tau over {quality.trials} trials, median error {100 * quality.median_error:.0f} %"
        facts.append(Fact(f"prediction of {OBJECTIVES[quality.objective].label}", tau, note))
    return facts
