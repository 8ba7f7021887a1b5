"""The content of the timeline of workers: which trial each worker measured and trained, and when it was idle or lost.

A lane is a place where one worker at a time runs: the workers of a device that follow one another (of a continued search, or
after one died) share a lane. Times are seconds since 1970 by the clocks of the workers' machines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from nas.analysis.results import Results
from nas.study.segments import Segment

MIN_IDLE_S = 0.5
"""A shorter gap between two segments is not drawn."""

UNTRAINED = ("refused", "measured")
"""Outcomes of segments without a training."""

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


@dataclass(frozen=True)
class _Piece:
    """A segment of a trial, and the latest time at which it can have ended if its worker was lost."""

    segment: Segment
    trial: int
    limit_s: float


def workers_info(results: Results) -> WorkersInfo:
    """The timeline of all segments that trials record; empty for studies of earlier versions."""
    by_worker: dict[str, list[_Piece]] = {}
    for piece in _pieces(results):
        by_worker.setdefault(piece.segment.worker, []).append(piece)
    for pieces in by_worker.values():
        pieces.sort(key=lambda piece: piece.segment.start)
    running = _running(results)
    lanes: list[tuple[str, float]] = []  # (host and device, end of its last worker)
    bars: list[WorkerBar] = []
    for pieces in sorted(by_worker.values(), key=lambda pieces: pieces[0].segment.start):
        own = _bars_of(pieces, running)
        place = f"{pieces[0].segment.host} {pieces[0].segment.device}"
        free = [i for i, (name, end_s) in enumerate(lanes) if name == place and end_s <= own[0].start_s]
        lane = free[0] if free else len(lanes)
        lanes[lane : lane + 1] = [(place, own[-1].end_s)]
        bars += [WorkerBar(lane, *_fields(bar)) for bar in own]
    return _sorted_lanes([name for name, _ in lanes], bars)


def _pieces(results: Results) -> Iterator[_Piece]:
    """All segments. A lost one ended at the latest when its trial went on elsewhere, or ended."""
    if "segments" not in results.trials:
        return
    table = results.trials[["trial", "segments", "finished"]]
    rows = [
        (int(trial), [Segment.from_dict(plain) for plain in stored], finished)
        for trial, stored, finished in table.itertuples(index=False)
        if stored
    ]
    last_s = max((segment.end or segment.start for _, segments, _ in rows for segment in segments), default=0.0)
    for trial, segments, finished in rows:
        end_s = last_s if pd.isna(finished) else min(last_s, finished.to_pydatetime().timestamp())
        limits = [*(segment.start for segment in segments[1:]), end_s]
        for segment, limit_s in zip(segments, limits, strict=True):
            yield _Piece(segment, trial, max(segment.start, limit_s))


def _running(results: Results) -> set[int]:
    """The trials that a search trains now."""
    table = results.trials
    return set(table["trial"][table["state"] == "running"].tolist()) if results.is_searched else set()


def _bars_of(pieces: list[_Piece], running: set[int]) -> list[WorkerBar]:
    """The bars of one worker, in lane 0."""
    bars: list[WorkerBar] = []
    for piece in pieces:
        start_s = piece.segment.start
        if bars and start_s - bars[-1].end_s >= MIN_IDLE_S:
            text = f"idle {start_s - bars[-1].end_s:.1f} s"
            bars.append(WorkerBar(0, IDLE, bars[-1].end_s, start_s, None, text))
        bars += _bars_of_segment(piece, piece.trial in running)
    return bars


def _bars_of_segment(piece: _Piece, is_running: bool) -> list[WorkerBar]:
    """Measuring, then training; one bar of a segment that runs or was lost."""
    segment, trial, name = piece.segment, piece.trial, f"trial {piece.trial}"
    if segment.end is None:
        activity = RUNNING if is_running and segment.outcome is None else LOST
        return [WorkerBar(0, activity, segment.start, piece.limit_s, trial, f"{name}: {activity}")]
    is_trained = segment.outcome not in UNTRAINED
    middle_s = segment.end if not is_trained else min(segment.end, segment.start + segment.measure_s)
    bars = []
    if middle_s > segment.start:
        refused = ", refused" if segment.outcome == "refused" else ""
        text = f"{name}: measured in {segment.measure_s:.1f} s{refused}"
        bars.append(WorkerBar(0, MEASURING, segment.start, middle_s, trial, text))
    if is_trained:
        until = "" if segment.until is None else f" to epoch {segment.until}"
        times = f"in {segment.train_s:.1f} s, validated in {segment.validate_s:.1f} s"
        text = f"{name}: trained{until} {times}, {segment.outcome}"
        bars.append(WorkerBar(0, TRAINING, middle_s, segment.end, trial, text))
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
