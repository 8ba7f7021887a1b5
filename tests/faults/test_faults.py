"""Studies under a short schedule of faults: on each executor, workers, the driver, Ray's own processes and a checkpoint."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from disturbance import Disturbance, FaultRecord, StudyRecord
from faults import DATABASES, EXECUTORS, FAULTS, Injection, exists, fault
from schedule import PHASES, RUNNING_PHASES, PlannedFault, StudyPlan, plans
from soak import summary, table
from study import StudySetup, StudyUnderTest

SHORT_PLANS = {
    "local": (("worker", "step"), ("checkpoint", "any_moment")),
    "ray_tune": (("worker", "step"), ("raylet", "any_moment"), ("host", "step")),
}


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_study_survives_faults(executor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one worker nothing goes on until it is back, so that all faults come in the first trials on any machine."""
    monkeypatch.setattr("schedule.MAX_RANDOM_DELAY_S", 0.0)
    planned = [PlannedFault(FAULTS[name], phase) for name, phase in SHORT_PLANS[executor]]
    plan = StudyPlan(StudySetup(executor, "halving", trials=6, workers=1), planned)
    record = Disturbance(tmp_path / "cache", hang_s=180).run(plan, Random(0))
    assert record.gave_up == ""
    assert record.violations == []
    assert not any(fault.has_hung for fault in record.faults), record.faults
    assert [fault.fault for fault in record.faults] == [name for name, _ in SHORT_PLANS[executor]]


def test_a_schedule_is_drawn_with_its_seed() -> None:
    def first(seed: int, nodes: int = 0, drivers: int = 1) -> list[StudyPlan]:
        schedule = plans(seed, EXECUTORS, list(FAULTS), databases=DATABASES, nodes=nodes, drivers=drivers)
        return [next(schedule) for _ in range(40)]

    assert first(1) == first(1) != first(2)
    drawn = [planned for plan in (*first(1), *first(1, nodes=2, drivers=2)) for planned in plan.faults]
    counts = {name: sum(planned.fault.name == name for planned in drawn) for name in FAULTS}
    assert min(counts.values()) >= 3
    assert {planned.phase for planned in drawn} == PHASES.keys()
    assert set(RUNNING_PHASES) < PHASES.keys()
    for plan in (*first(1), *first(1, nodes=2, drivers=2)):
        assert plan.setup.drivers == 1 or plan.setup.database == "postgresql"
        for planned in plan.faults:
            assert exists(planned.fault, plan.setup)
            assert plan.setup.training in planned.fault.trainings


def test_a_fault_has_one_name() -> None:
    with pytest.raises(ValueError, match="fault worker already exists"):

        @fault("worker")
        def kill_again(study: StudyUnderTest, random: Random) -> Injection | None:
            return None


def test_the_table_counts_each_fault(tmp_path: Path) -> None:
    plan = next(plans(0, ("local",), ("worker",)))
    faults = [
        FaultRecord("worker", "step", "local", "worker 7", next_step_s=0.1, recovery_s=4.0),
        FaultRecord("worker", "step", "local", "worker 8", recovery_s=8.0, has_hung=True, exit_codes=[1]),
        FaultRecord("driver", "step", "local", "driver 6", trials=[3]),
    ]
    rows = summary([StudyRecord(plan, faults)])
    assert [(row["fault"], row["count"], row["hangs"], row["median s"], row["worst s"]) for row in rows] == [
        ("worker", 2, 1, 6.0, 8.0),
        ("driver", 1, 0, None, None),
    ]
    assert table(rows).splitlines()[1].split()[:2] == ["worker", "2"]
