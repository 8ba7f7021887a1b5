"""Outcomes of trials as records and as attributes: what is written is read again, also what version 0.1 wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, strategies as st
from optuna.trial import TrialState

from nas import objectives
from nas.study.layout import INHERITED_WEIGHTS, WEIGHTS
from nas.study.outcomes.inheritance import Inheritance
from nas.study.outcomes.outcome_parts import Measured, Trained
from nas.study.outcomes.record_json import SCHEMA, from_record, to_record
from nas.study.outcomes.records import (
    OUTCOME,
    Completed,
    Duplicate,
    Failed,
    MachineFailure,
    Paused,
    Refused,
    Stopped,
    TrialOutcome,
    WorkerOutcome,
    name_of,
)
from nas.study.outcomes.worker_tasks import EarlierSegments, TrialTask
from nas.study.trials import is_trained, outcome_name
from trainers.training.checkpoint import load_metadata
from trainers.training.epoch import Epoch

FROZEN_TRIALS = Path(__file__).parents[2] / "fixtures" / "v0_1" / "study" / "trials"

floats = st.floats(allow_nan=False, allow_infinity=False, width=32)
seconds = st.floats(0, 1e6)
seeds = st.integers(0, 2**32 - 1)
texts = st.text(max_size=40)
plain = st.none() | st.booleans() | floats | texts | st.lists(floats, max_size=3)
epochs = st.builds(
    Epoch, epoch=st.integers(1, 300), train_loss=floats, val_loss=floats | st.none(), val_accuracy=floats | st.none(),
    lr=floats, wall_s=seconds, train_s=seconds,
)  # fmt: skip


def subsets(names: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Mappings of some of `names` to `values`."""
    return st.dictionaries(st.sampled_from(names), values, max_size=len(names))


MEASURED_OBJECTIVES = [objectives.get(name) for name in objectives.names("measured")]
DETAILS_NAMES = [objective.details_name for objective in MEASURED_OBJECTIVES if objective.details_name]
measured = st.builds(
    Measured,
    values=subsets([objective.name for objective in MEASURED_OBJECTIVES], floats),
    details=subsets(DETAILS_NAMES, st.dictionaries(texts, plain, min_size=1, max_size=3)),
    device=texts | st.none(),
)
trained = st.builds(
    Trained,
    values=st.fixed_dictionaries({"accuracy": floats}),
    curve=st.lists(epochs.map(Epoch.to_dict), max_size=3),
    train_s=seconds,
    wall_s=seconds,
    overhead_s=seconds,
)
completed = st.builds(Completed, seeds, measured, trained, seconds)
inherited = st.builds(
    Inheritance,
    st.integers(0, 10_000), st.sampled_from([WEIGHTS, INHERITED_WEIGHTS]), st.integers(1, 100),
    st.integers(0, 500) | st.none(), st.floats(0, 1) | st.none(),
)  # fmt: skip
paused = st.builds(Paused, seeds, measured, trained, seconds, st.integers(1, 300), st.none() | inherited)
refused = st.builds(Refused, texts, seeds | st.none(), measured, seconds | st.none())
failed = st.builds(Failed, texts, texts, seeds | st.none(), seconds | st.none(), seconds | st.none())
machine_failures = st.builds(
    MachineFailure, texts, st.booleans(), texts, seeds | st.none(), seconds | st.none(), seconds | st.none(),
    measured, trained | st.none(),
)  # fmt: skip
from_workers: st.SearchStrategy[Any] = completed | paused | refused | failed | machine_failures
outcomes: st.SearchStrategy[Any] = (
    completed
    | paused
    | refused
    | failed
    | st.builds(Stopped, st.integers(1, 300))
    | st.builds(Duplicate, st.integers(0, 10**6))
)


def through_json(value: Mapping[str, Any]) -> dict[str, Any]:
    """`value` as another process reads it."""
    return dict(json.loads(json.dumps(value, allow_nan=False)))


@given(from_workers)
def test_record_of_every_outcome_is_read_as_it_was_written(outcome: WorkerOutcome) -> None:
    record = through_json(to_record(outcome))
    assert (record["schema"], record[OUTCOME]) == (SCHEMA, name_of(outcome))
    assert from_record(record) == outcome
    assert type(from_record(record)) is type(outcome)


@given(measured)
def test_attributes_of_measurements_are_read_as_they_were_written(values: Measured) -> None:
    assert Measured.from_attributes(through_json(values.to_attributes())) == values


@given(outcomes)
def test_attributes_of_every_outcome_hold_all_of_it(outcome: TrialOutcome) -> None:
    attributes = through_json(outcome.to_attributes())
    match outcome:
        case Completed() | Paused():  # the accuracy at a rung is an intermediate value
            assert Measured.from_attributes(attributes) == outcome.measured
            training = outcome.trained
            assert (attributes["seed"], attributes["idle_s"]) == (outcome.seed, outcome.idle_s)
            assert attributes["curve"] == list(training.curve)
            times = (training.train_s, training.wall_s, training.overhead_s)
            assert (attributes["train_s"], attributes["wall_s"], attributes["overhead_s"]) == times
            assert "accuracy" not in attributes
        case Refused():
            assert attributes["refused"] == outcome.reason
            assert Measured.from_attributes(attributes) == outcome.measured
            assert (attributes.get("seed"), attributes.get("idle_s")) == (outcome.seed, outcome.idle_s)
        case Duplicate():
            assert attributes == {"refused": f"duplicate of trial {outcome.first}"}
        case Failed():
            assert attributes["failure"] == outcome.reason
            given_fields = {name: attributes.get(name) for name in ("seed", "wall_s", "idle_s")}
            assert given_fields == {"seed": outcome.seed, "wall_s": outcome.wall_s, "idle_s": outcome.idle_s}
            assert "traceback" not in attributes
        case Stopped():
            assert attributes == {}


@given(paused)
def test_next_segment_carries_what_the_last_one_wrote(outcome: Paused) -> None:
    earlier = EarlierSegments.from_attributes(through_json(outcome.to_attributes()))
    assert earlier == EarlierSegments(
        outcome.measured.values, outcome.trained.overhead_s, outcome.idle_s, outcome.trained.wall_s
    )
    task = TrialTask(3, "{}", outcome.seed, "trials/00003", outcome.epoch, earlier)
    assert TrialTask.from_dict(through_json(task.to_dict())) == task


def test_first_segment_carries_nothing() -> None:
    assert EarlierSegments.from_attributes({"seed": 1, "overhead_s": None}) == EarlierSegments()


def test_names_are_unique() -> None:
    kinds: tuple[TrialOutcome, ...] = (
        Completed(0, Measured(), Trained({}, [], 0, 0, 0)),
        Paused(0, Measured(), Trained({}, [], 0, 0, 0), epoch=1),
        Stopped(1),
        Refused("limit macs: 2 > 1"),
        Duplicate(0),
        Failed("ValueError"),
    )
    names = [name_of(outcome) for outcome in kinds]
    assert sorted(set(names)) == sorted(names)
    own = set().union(*(outcome.to_attributes() for outcome in kinds)) | {
        OUTCOME,
        "architecture",
        "id",
        "until",
        "device",
    }
    assert own.isdisjoint([*objectives.names(), *DETAILS_NAMES])  # an objective would overwrite them
    assert set(objectives.names()).isdisjoint(DETAILS_NAMES)
    assert len(set(DETAILS_NAMES)) == len(DETAILS_NAMES)


@pytest.mark.parametrize("schema", [SCHEMA + 1, 99])
def test_record_of_a_newer_version_is_one_clear_error(schema: int) -> None:
    record = {**to_record(Failed("ValueError")), "schema": schema, "added_later": 1}
    with pytest.raises(ValueError, match=rf"^record: schema must be at most {SCHEMA}, found {schema}$"):
        from_record(record)


@pytest.mark.parametrize("file", sorted(FROZEN_TRIALS.glob("*/model.safetensors")), ids=lambda file: file.parent.name)
def test_record_of_version_0_1_is_read(file: Path) -> None:
    record = json.loads(load_metadata(file)["record"])
    assert "schema" not in record
    outcome = from_record(record)
    assert type(outcome) is Completed
    assert outcome.trained.values == {"accuracy": record["accuracy"]}
    assert list(outcome.trained.curve) == record["curve"]
    assert outcome.measured == Measured()  # these trials paused at a rung: an earlier segment measured them
    times = (outcome.trained.train_s, outcome.trained.wall_s, outcome.trained.overhead_s)
    assert times == (record["train_s"], record["wall_s"], record["overhead_s"])
    assert outcome.seed == record["seed"]
    assert from_record(through_json(to_record(outcome))) == outcome


def test_record_of_version_0_1_keeps_what_was_measured() -> None:
    training = {"accuracy": 0.5, "curve": [], "train_s": 1.0, "wall_s": 2.0, "overhead_s": 0.5}
    details = {"batch_size": 16, "drift": 1.01}
    record = {"seed": 7, "device": "cpu", "images_per_s": 100, "throughput": details, "idle_s": 0.25, **training}
    assert from_record(record) == Completed(
        7,
        Measured({"images_per_s": 100.0}, {"throughput": details}, "cpu"),
        Trained({"accuracy": 0.5}, [], train_s=1.0, wall_s=2.0, overhead_s=0.5),
        idle_s=0.25,
    )


@pytest.mark.parametrize(
    ("state", "attributes", "name", "trained"),
    [
        (TrialState.COMPLETE, {"seed": 1}, "completed", True),
        (TrialState.PRUNED, {"seed": 1, "until": 3}, "stopped", True),
        (TrialState.PRUNED, {"refused": "limit macs: 2 > 1"}, "refused", False),
        (TrialState.FAIL, {"refused": "duplicate of trial 3"}, "duplicate", False),
        (TrialState.FAIL, {"failure": "the worker died"}, "failed", True),
        (TrialState.FAIL, {"failure": "the worker died", "refused": None}, "failed", True),
        (TrialState.RUNNING, {"seed": 1, "until": 3}, None, False),
        (TrialState.WAITING, {}, None, False),
    ],
)
def test_outcome_of_a_trial_of_version_0_1(
    state: TrialState, attributes: dict[str, Any], name: str | None, trained: bool
) -> None:
    values = [0.5] if state == TrialState.COMPLETE else None
    trial = optuna.create_trial(state=state, values=values, user_attrs=attributes)
    assert (outcome_name(trial), is_trained(trial)) == (name, trained)


@given(st.sampled_from([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]), outcomes)
def test_named_outcome_of_a_trial_does_not_depend_on_its_state(state: TrialState, outcome: TrialOutcome) -> None:
    attributes = {**outcome.to_attributes(), OUTCOME: name_of(outcome)}
    values = [0.5] if state == TrialState.COMPLETE else None
    trial = optuna.create_trial(state=state, values=values, user_attrs=attributes)
    assert outcome_name(trial) == name_of(outcome)


@given(machine_failures)
def test_a_failure_of_the_machine_keeps_a_finished_training_and_can_become_that_of_the_trial(
    failure: MachineFailure,
) -> None:
    attributes = through_json(failure.to_attributes())
    if failure.trained is None:
        assert attributes == {}
    else:
        assert attributes["curve"] == list(failure.trained.curve)
        assert Measured.from_attributes(attributes) == failure.measured
    failed = failure.to_failed()
    assert failed == Failed(failure.reason, failure.traceback, failure.seed, failure.wall_s, failure.idle_s)
