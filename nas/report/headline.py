"""What stands at the head of a report: what was searched on, how, and the numbers that sum the study up."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nas.analysis.architecture_text import TIMES
from nas.analysis.prediction_quality import compare_predictions
from nas.analysis.results import STATES, Results
from nas.analysis.time_breakdown import times_of
from nas.formatting import MISSING, count, duration, ratio, value_text
from nas.objectives import OBJECTIVES

_SHOWN_CLASSES = 20
_SPLITS = (("train", "to train"), ("val", "to validate"), ("test", "held out for the test"))
_SAID: tuple[tuple[tuple[str, ...], Callable[[Any], str]], ...] = (
    (("sampler", "name"), "sampler {}".format),
    (("train", "epochs"), lambda epochs: f"{count(epochs, 'epoch')} a trial"),
    (("seed",), "seed {}".format),
)


@dataclass(frozen=True)
class Fact:
    """A number at the head of the page."""

    label: str
    value: str
    note: str = ""


def dataset_line(results: Results) -> str:
    """What was searched on: images, their size, classes, the split."""
    data = results.dataset
    if not data:
        return "The study does not say what it was searched on."
    height, width = data.get("image_size") or ("?", "?")
    size = f" {TIMES} ".join(str(side) for side in (height, width, data.get("in_chans", "?")))
    counts = ", ".join(f"{data[key]:,} {word}" for key, word in _SPLITS if isinstance(data.get(key), int))
    names = [str(name) for name in data.get("class_names") or ()]
    listed = ", ".join(names[:_SHOWN_CLASSES]) + (" …" if len(names) > _SHOWN_CLASSES else "")
    classes = f"{data.get('num_classes', '?')} classes" + (f" ({listed})" if listed else "")
    return f"Searched on {data.get('name', '?')}: images of {size}, {classes}; {counts or 'split not recorded'}."


def search_line(results: Results) -> str:
    """How it was searched: objectives, limits, the size of the space, sampler, epochs and seed, as far as the study says."""
    parts = ["Objectives: " + ", ".join(f"{o.label} ({o.direction[:3]})" for o in results.objectives)]
    limits = _at(results.config, "limits") or {}
    parts += [_limit(name, worst) for name, worst in limits.items()]
    if results.space_size is not None:
        parts.append(f"{results.space_size:,} architectures in the space")
    for path, words in _SAID:
        found = _at(results.config, *path)
        parts += [words(found)] if found is not None else []
    return "; ".join(parts) + "."


def headline(results: Results) -> list[Fact]:
    """The numbers at the head of the page."""
    counts, trials, best = results.counts, results.trials, results.best
    others = [f"{counts[state]} {state}" for state in STATES[1:] if state in counts]
    facts = [Fact("trained", str(counts.get("complete", 0)), ", ".join(others) or "no other trials")]
    if best is None:
        facts.append(Fact("best", MISSING, "no trial is complete yet"))
    else:
        chief = next((o for o in results.objectives if o.name == "accuracy"), results.objectives[0])
        tested = "" if math.isnan(best["test_accuracy"]) else f", test {ratio(best['test_accuracy'])}"
        facts.append(Fact(f"best {chief.label}", value_text(chief, best[chief.name]), f"trial {best['trial']}{tested}"))
    facts += [
        Fact(
            "front",
            str(len(results.front)),
            f"trial{'' if len(results.front) == 1 else 's'} that no other beats in everything",
        ),
        Fact("hypervolume", ratio(results.hypervolume), "share of the box from worst to best seen"),
    ]
    times = times_of(results)
    if times.training_share is not None:
        devices = " and ".join(sorted({device for device in trials["device"] if device}))
        where = f" on {devices}" if devices else ""
        around = f"{times.overhead_s_per_trial:.2f} s around a trial"
        note = f"{100 * times.training_share:.0f} % of the workers' time{where}, {around}"
        facts.append(Fact("training", duration(times.train_s), note))
    for one in compare_predictions(results):
        tau = MISSING if one.kendall_tau is None else f"{one.kendall_tau:.2f}"
        note = f"Kendall tau with what {one.trials} trials measured, {100 * one.median_error:.0f} % off in the median"
        facts.append(Fact(f"{OBJECTIVES[one.name].label} foretold", tau, note))
    return facts


def _limit(name: str, worst: float) -> str:
    """A limit in words: "MACs at most 2.00 M"."""
    known = OBJECTIVES.get(name)
    if known is None:
        return f"limit {name} {worst:g}"
    return f"{known.label} at {'least' if known.direction == 'maximize' else 'most'} {value_text(known, worst, unit=False)}"


def _at(config: Mapping[str, Any], *path: str) -> Any:
    """The value at a path of the configuration; None if it leads nowhere."""
    found: Any = config
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
