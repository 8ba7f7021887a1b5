"""Findings about the course of a search: progress, trials that gave nothing, and workers that waited."""

from __future__ import annotations

from collections import Counter

import numpy as np

from nas.analysis.failures import group_failures
from nas.analysis.finding import Finding, grade
from nas.analysis.front import hypervolume
from nas.analysis.results import Results
from nas.analysis.time_breakdown import break_down_time
from nas.formatting import count, duration

MIN_PROGRESS_TRIALS = 15
"""Complete trials; with fewer, a third of them is too few to tell chance from an end of progress."""

STAGNATING_SHARE = 0.005
"""Of the final hypervolume, gained by the last third of the trials. Random search on a space of moderate size still gains
about 1 % then, so less than half of that says that the sampler repeats itself or that there is little left to find."""

UNLIKELY_GAP, NEARLY_IMPOSSIBLE_GAP = 0.05, 0.001
"""Probability that none of the last g of n trials is among the k on the front, if all trials were equally likely to be there,
as in random search: (1 - g/n)^k. A sampler that learns should do better, so a gap that is unlikely even so says that it is
stuck."""

MANY_REFUSED, MOST_REFUSED = 0.5, 0.9
"""Of all trials that have ended. Refusals on costs take milliseconds, but a sampler that is refused every second time learns
the limit instead of the front; at nine of ten the limits leave a corner of the space, which a smaller space describes better."""

SOME_FAILED, MANY_FAILED = 0.02, 0.2
"""Of the trials that were trained. Single failures (a diverged loss) are normal; a fifth of the budget lost is not."""

SOME_IDLE, MUCH_IDLE = 0.05, 0.2
"""Of the workers' time between trials. A suggestion and the start of a trial take a few per cent of short trials."""


def progress_finding(results: Results) -> Finding:
    """Whether the hypervolume still grows."""
    key, title = "progress", "Progress of the front"
    numbers = np.flatnonzero(~np.isnan(results.values).any(axis=1))
    if len(numbers) < MIN_PROGRESS_TRIALS:
        text = f"With fewer than {MIN_PROGRESS_TRIALS} complete trials nothing can be said about progress yet."
        return Finding(key, title, "unknown", count(len(numbers), "complete trial"), text)
    if results.bounds.is_point:
        text = (
            "All trials have the same values, so that there is no front to improve; check the space and the training."
        )
        return Finding(key, title, "bad", "no spread", text)
    values = results.values[numbers]
    before = values[: len(values) - len(values) // 3]
    final = results.hypervolume
    gained = (final - hypervolume(before, results.objectives, results.bounds)) / final if final > 0 else 0.0
    members = np.flatnonzero(results.summary["on_front"].to_numpy()[numbers])
    since = len(numbers) - 1 - int(members.max())
    value = f"+{100 * max(gained, 0.0):.1f} % in the last third"
    last = (
        f"the last {count(since, 'trial')} did not enter the front" if since else "the latest trial entered the front"
    )
    chance = (1 - since / len(numbers)) ** len(members)
    verdict = grade(-chance, -UNLIKELY_GAP, -NEARLY_IMPOSSIBLE_GAP)
    if verdict != "good":
        text = f"The search is stuck: {last}. End it, or widen the space and continue from it (start.study)."
        return Finding(key, title, verdict, value, text)
    if gained < STAGNATING_SHARE:
        text = f"The hypervolume hardly grows any more: {last}. Further trials will gain little in this space."
        return Finding(key, title, "warn", value, text)
    text = f"The front still improves ({last}); further trials are likely to pay off."
    return Finding(key, title, "good", value, text)


def refused_finding(results: Results) -> Finding:
    """The share of trials that were not trained, by reason."""
    key, title = "refused", "Refused trials"
    counts = results.counts
    refused, duplicates = counts.get("refused", 0), counts.get("duplicate", 0)
    ended = sum(number for state, number in counts.items() if state not in ("running", "waiting"))
    if not ended:
        return Finding(key, title, "unknown", "no trials", "No trial has ended yet.")
    share = (refused + duplicates) / ended
    reasons = Counter(map(_limit_name, results.summary["refused"][results.summary["state"] == "refused"]))
    parts = [f"{number} over {name}" for name, number in reasons.most_common(3)]
    parts += [f"{duplicates} proposed before" if duplicates > 1 else "1 proposed before"] if duplicates else []
    value = f"{100 * share:.0f} %"
    if not refused + duplicates:
        return Finding(key, title, "good", value, "Every proposed architecture was new and within the limits.")
    verdict = grade(share, MANY_REFUSED, MOST_REFUSED)
    advice = (
        ""
        if verdict == "good"
        else " A space with fewer architectures beyond the limits lets the sampler learn faster."
    )
    return Finding(key, title, verdict, value, f"Not trained: {', '.join(parts)} of {count(ended, 'trial')}.{advice}")


def failed_finding(results: Results) -> Finding:
    """The share of trainings that failed, by reason."""
    key, title = "failed", "Failed trials"
    counts = results.counts
    trained = sum(counts.get(state, 0) for state in ("complete", "stopped", "failed"))
    if not trained:
        return Finding(key, title, "unknown", "no trials", "No training has ended yet.")
    groups = group_failures(results)
    failed = sum(len(group.trials) for group in groups)
    value = f"{100 * failed / trained:.0f} %" if failed else "0 %"
    if not failed:
        return Finding(key, title, "good", value, f"None of {count(trained, 'training')} has failed.")
    verdict = "bad" if failed == trained else grade(failed / trained, SOME_FAILED, MANY_FAILED)
    reasons = "; ".join(f"{len(group.trials)} times {group.reason}" for group in groups[:3])
    text = f"{failed} of {count(trained, 'training')} failed: {reasons}. `nas search --retry-failed` repeats them."
    return Finding(key, title, verdict, value, text)


def interrupted_finding(results: Results) -> Finding:
    """Trials that run while no search does."""
    key, title = "interrupted", "Interrupted trials"
    running = results.counts.get("running", 0)
    if results.is_searched:
        return Finding(key, title, "good", "0", f"A search runs; {count(running, 'trial')} of it train or pause now.")
    if not running:
        return Finding(key, title, "good", "0", "No trial was left running.")
    text = f"{count(running, 'trial')} run or pause although no search does. `nas search` continues them where they stopped."
    return Finding(key, title, "warn", str(running), text)


def idle_finding(results: Results) -> Finding:
    """The share of time that workers waited for trials."""
    key, title = "idle", "Idle workers"
    times = break_down_time(results)
    if times.worker_s <= 0:
        return Finding(key, title, "unknown", "no trials", "No trial was trained to the end or to a rung yet.")
    share = times.idle_s / times.worker_s
    verdict = grade(share, SOME_IDLE, MUCH_IDLE)
    text = f"Workers waited {duration(times.idle_s)} of {duration(times.worker_s)} between trials."
    if verdict != "good":
        text += " Fewer workers, longer trainings or another sampler would use the machine better."
    return Finding(key, title, verdict, f"{100 * share:.1f} %", text)


def _limit_name(reason: object) -> str:
    """The limit in the reason of a refusal: `limit macs` of `limit macs: 5000 > 4000`."""
    return str(reason).partition(":")[0]
