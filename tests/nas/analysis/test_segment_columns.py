"""The segments of trials as columns."""

from __future__ import annotations

import numpy as np

from nas.analysis.segment_columns import SegmentColumns
from nas.study.segments import Segment

FIRST = Segment("node1/cuda:0/7", 100.0, 110.0, 1.0, 6.0, 2.0, until=3, outcome="paused")
SECOND = Segment("node2/cpu/9", 130.0, None, until=9)


def test_segments_are_in_the_order_of_the_trials_asked_for() -> None:
    columns = SegmentColumns()
    columns.assign(np.array([0, 1, 3]), [[SECOND.to_dict()], [], [FIRST.to_dict(), SECOND.to_dict()]])
    table = columns.table([0, 1, 2, 3])
    assert table.trial.tolist() == [0, 3, 3]
    assert [columns.workers[code] for code in table.worker] == [SECOND.worker, FIRST.worker, SECOND.worker]
    assert [columns.outcomes[code] for code in table.outcome] == ["running", "paused", "running"]
    assert table.start.tolist() == [130.0, 100.0, 130.0]
    assert np.isnan(table.end).tolist() == [True, False, True]
    assert table.seconds[1].tolist() == [1.0, 6.0, 2.0]


def test_a_segment_that_ended_replaces_the_one_that_ran() -> None:
    columns = SegmentColumns()
    columns.assign(np.array([0]), [[SECOND.to_dict()]])
    columns.assign(np.array([0]), [[Segment(SECOND.worker, 130.0, 150.0, outcome="completed").to_dict()]])
    table = columns.table([0])
    assert table.end.tolist() == [150.0]
    assert columns.outcomes[table.outcome[0]] == "completed"


def test_studies_without_segments_have_an_empty_table() -> None:
    table = SegmentColumns().table([0, 1])
    assert table.trial.tolist() == []
    assert table.seconds.shape == (0, 3)
