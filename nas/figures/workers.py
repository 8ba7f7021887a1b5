"""The content of the timeline of workers: which trial each worker measured and trained, and when it was idle or lost.

A lane is a place where one worker at a time runs: the workers of a device that follow one another (of a continued search, or
after one died) share a lane. Times are seconds since 1970 by the clocks of the workers' machines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nas.analysis.results import Results
from nas.study.segments import Segment

MIN_IDLE_S = 0.5
"""A shorter gap between two segments is not drawn."""

MEASURING, TRAINING, RUNNING, IDLE, LOST = ACTIVITIES = ("measuring", "training", "running", "idle", "lost")


@dataclass(frozen=True)
class WorkerBar:
    """One activity of a worker.

    Args:
        lane: the index of the lane.
        activity: one of `ACTIVITIES`.
        start_s, end_s: seconds since 1970.
        trial: the number of the trial; None while idle.
        text: what the bar shows on hovering.
    """

    lane: int
    activity: str
    start_s: float
    end_s: float
    trial: int | None
    text: str


@dataclass(frozen=True)
class WorkersInfo:
    """The timeline of workers.

    Args:
        lanes: the label of each lane: "host cpu 1".
        bars: ascending by lane and start.
    """

    lanes: list[str]
    bars: list[WorkerBar]


def workers_info(results: Results) -> WorkersInfo:
    """The timeline of all segments that trials record; empty for studies of earlier versions."""
    by_worker: dict[str, list[tuple[Segment, int]]] = {}
    for segment, trial in _segments(results):
        by_worker.setdefault(segment.worker, []).append((segment, trial))
    for segments in by_worker.values():
        segments.sort(key=lambda item: item[0].start)
    last_s = max((s.end or s.start for segments in by_worker.values() for s, _ in segments), default=0.0)
    running = _running(results)
    lanes: list[tuple[str, float]] = []  # (host and device, end of its last worker)
    bars: list[WorkerBar] = []
    ordered = sorted(by_worker.values(), key=lambda segments: segments[0][0].start)
    for segments in ordered:
        own = _bars_of(segments, running, last_s)
        place = f"{segments[0][0].host} {segments[0][0].device}"
        free = [i for i, (name, end_s) in enumerate(lanes) if name == place and end_s <= own[0].start_s]
        lane = free[0] if free else len(lanes)
        lanes[lane : lane + 1] = [(place, own[-1].end_s)]
        bars += [WorkerBar(lane, *fields) for fields in map(_fields, own)]
    return _sorted_lanes([name for name, _ in lanes], bars)


def _segments(results: Results) -> Iterator[tuple[Segment, int]]:
    if "segments" not in results.trials:
        return
    for trial, plain in zip(results.trials["trial"], results.trials["segments"], strict=True):
        for segment in plain or ():
            yield Segment.from_dict(segment), int(trial)


def _running(results: Results) -> set[int]:
    """The trials that a search trains now."""
    table = results.trials
    return set(table["trial"][table["state"] == "running"].tolist()) if results.is_searched else set()


def _bars_of(segments: list[tuple[Segment, int]], running: set[int], last_s: float) -> list[WorkerBar]:
    """The bars of one worker, in lane 0."""
    bars: list[WorkerBar] = []
    for index, (segment, trial) in enumerate(segments):
        if bars and segment.start - bars[-1].end_s >= MIN_IDLE_S:
            gap_s = segment.start - bars[-1].end_s
            bars.append(WorkerBar(0, IDLE, bars[-1].end_s, segment.start, None, f"idle {gap_s:.1f} s"))
        if segment.end is None:
            is_running = trial in running and segment.outcome is None and index == len(segments) - 1
            end_s = max(segment.start, last_s if index == len(segments) - 1 else segments[index + 1][0].start)
            activity = RUNNING if is_running else LOST
            bars.append(WorkerBar(0, activity, segment.start, end_s, trial, f"trial {trial}: {activity}"))
            continue
        train_start_s = min(segment.end, segment.start + segment.measure_s)
        name = f"trial {trial}"
        if segment.measure_s > 0:
            text = f"{name}: measured in {segment.measure_s:.1f} s"
            bars.append(WorkerBar(0, MEASURING, segment.start, train_start_s, trial, text))
        until = "" if segment.until is None else f" to epoch {segment.until}"
        text = f"{name}: trained{until} in {segment.train_s:.1f} s, validated in {segment.validate_s:.1f} s, {segment.outcome}"
        if segment.outcome != "refused":
            bars.append(WorkerBar(0, TRAINING, train_start_s, segment.end, trial, text))
        elif not segment.measure_s:
            bars.append(WorkerBar(0, MEASURING, segment.start, segment.end, trial, f"{name}: refused"))
    return bars


def _fields(bar: WorkerBar) -> tuple[str, float, float, int | None, str]:
    return bar.activity, bar.start_s, bar.end_s, bar.trial, bar.text


def _sorted_lanes(places: list[str], bars: list[WorkerBar]) -> WorkersInfo:
    """Lanes by host and device; several of one device are numbered from 1."""
    order = sorted(range(len(places)), key=lambda lane: (places[lane], lane))
    rank = {lane: index for index, lane in enumerate(order)}
    several = {place for place in places if places.count(place) > 1}
    counts: dict[str, int] = {}
    labels = []
    for lane in order:
        place = places[lane]
        counts[place] = counts.get(place, 0) + 1
        labels.append(f"{place} {counts[place]}" if place in several else place)
    moved = [WorkerBar(rank[bar.lane], *_fields(bar)) for bar in bars]
    return WorkersInfo(labels, sorted(moved, key=lambda bar: (bar.lane, bar.start_s)))
