"""Studies that measure only what may be on the front: the decision, and searches on simulated and on real workers."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings, strategies as st
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas import objectives
from nas.driver.ask_tell import AskTell
from nas.driver.dispatch import TrialDispatcher
from nas.driver.front_measuring import FrontMeasuring
from nas.driver.run import run_search
from nas.driver.rungs.promotion import Halving
from nas.execution.base import WAIT, Task, WorkerSite
from nas.execution.simulator import Script, Simulator
from nas.objectives.costs import cost_values
from nas.study.config import StudyConfig
from nas.study.database.leases import SharedLeases
from nas.study.database.server_storage import open_server_study
from nas.study.database.storage import create_study
from nas.study.database.storage_url import StoragePlace, StorageUrl
from nas.study.database.transactions import ServerTransactions
from nas.study.database.trial_database import DatabaseTrials, driving
from nas.study.outcomes.outcome_parts import Measured, Trained
from nas.study.outcomes.predicted_values import OPERATOR_PREDICTIONS, PREDICTED_VALUES
from nas.study.outcomes.record_json import to_record
from nas.study.outcomes.records import Completed, MeasuredOnly, Paused, Refused
from nas.study.outcomes.worker_tasks import MeasureTask, TrialTask
from nas.study.prediction_correction import MIN_OBSERVATIONS
from nas.study.stored import StoredStudy
from search_space import Architecture, SearchSpace

NAMES = ("accuracy", "macs", "images_per_s")
OBJECTIVES = tuple(objectives.get(name) for name in NAMES)
SPACE = SearchSpace.from_dict(
    {
        "image_size": 8,
        "in_chans": 1,
        "stem": {"patch": [1, 2, 4]},
        "stages": [{"mixer": {"conv": {"k": [3, 5, 7]}, "pool": None}, "depth": [1, 2, 3], "width": [8, 16, 24, 32]}],
    }
)
EPOCHS = 9


def front_of(points: Mapping[int, Sequence[float]]) -> set[int]:
    """The numbers of the points (accuracy, macs, images_per_s) that no other dominates, by brute force."""
    better = {number: (a, -m, t) for number, (a, m, t) in points.items()}
    return {
        number
        for number, own in better.items()
        if not any(other != own and all(x >= y for x, y in zip(other, own, strict=True)) for other in better.values())
    }


# The decision


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.02, 0.2]), st.integers(2, 12))
def test_the_front_is_measured_and_is_the_true_one_if_values_are_within_their_intervals(
    seed: int, noise: float, levels: int
) -> None:
    rng = np.random.default_rng(seed)
    deciding = FrontMeasuring(OBJECTIVES, ("images_per_s",), {}, {})
    truth: dict[int, tuple[float, float, float]] = {}
    recorded: dict[int, tuple[float, float, float]] = {}
    are_within, measured = True, set[int]()
    for number in range(50):
        macs = float(2 ** rng.integers(10, 10 + levels))  # ties are common
        costs = {"macs": macs, "params": macs**0.5, "activation_bytes": float(rng.integers(100, 1000))}
        accuracy = float(rng.integers(1, levels + 1)) / levels
        truth[number] = accuracy, macs, float(1e6 / macs**0.5 * np.exp(noise * rng.normal()))
        predicted = deciding.predict_instead(costs, {"accuracy": accuracy}, is_complete=True)
        assert (predicted is not None) <= (len(measured) >= MIN_OBSERVATIONS)
        if predicted is None:
            measured.add(number)
            recorded[number] = truth[number]
            deciding.learn(number, {**costs, "images_per_s": truth[number][2]}, truth[number])
        else:
            value = predicted["images_per_s"]
            recorded[number] = accuracy, macs, value.value
            are_within &= value.low <= truth[number][2] <= value.high
            attributes = {**costs, PREDICTED_VALUES: {"images_per_s": value.to_list()}}
            deciding.learn(number, attributes, recorded[number])
        assert front_of(recorded) <= measured  # at every moment
    if are_within:
        assert front_of(recorded) == front_of(truth)


def costs_of(macs: float) -> dict[str, float]:
    """The exact costs of a network."""
    return {"macs": macs, "params": macs / 10, "activation_bytes": macs / 5}


def after_measurements(limits: Mapping[str, float] | None = None, count: int = 20) -> FrontMeasuring:
    """A decision that has seen `count` trials of 1e6 / macs images per second, the last of which is on the front alone."""
    deciding = FrontMeasuring(OBJECTIVES, ("images_per_s",), limits or {}, {})
    for number in range(count):
        macs = 10.0 * 2 ** (number % 10) if number < count - 1 else 5.0
        deciding.learn(number, {**costs_of(macs), "images_per_s": 1e6 / macs}, (0.5 + number / 1000, macs, 1e6 / macs))
    return deciding


def test_values_are_predicted_once_enough_was_measured() -> None:
    for count, is_known in ((MIN_OBSERVATIONS - 1, False), (MIN_OBSERVATIONS, True)):
        deciding = after_measurements(count=count)
        deciding.learn(0, {**costs_of(10.0), "images_per_s": 1e5}, (0.5, 10.0, 1e5))  # told again
        assert deciding.may_be_trained_first(costs_of(80.0)) == is_known
        worse = deciding.predict_instead(costs_of(80.0), {"accuracy": 0.1}, is_complete=True)
        assert (worse is not None) == is_known
    assert worse is not None
    assert worse["images_per_s"].value == pytest.approx(1e6 / 80, rel=0.02)
    assert (
        deciding.predict_instead(costs_of(80.0), {"accuracy": 0.9}, is_complete=True) is None
    )  # it may be on the front
    paused = deciding.predict_instead(costs_of(80.0), {"accuracy": 0.9}, is_complete=False)
    assert paused is not None
    assert not deciding.may_be_trained_first({"macs": 80.0})  # a trial of another version, whose costs are not known


def test_a_value_that_may_violate_a_limit_is_measured_first() -> None:
    deciding = after_measurements({"images_per_s": 1e6 / 80})
    assert deciding.may_be_trained_first(costs_of(40.0))
    assert not deciding.may_be_trained_first(costs_of(80.0))
    assert not deciding.may_be_trained_first(costs_of(160.0))
    assert deciding.predict_instead(costs_of(80.0), {"accuracy": 0.1}, is_complete=True) is None
    assert deciding.predict_instead(costs_of(40.0), {"accuracy": 0.1}, is_complete=True) is not None


def test_a_missing_accuracy_is_no_reason_to_measure() -> None:
    assert (
        after_measurements().predict_instead(costs_of(80.0), {"accuracy": float("nan")}, is_complete=True) is not None
    )


def test_a_trial_that_stopped_at_a_rung_dominates_nothing(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")  # Optuna gives a pruned trial of one objective a value
    for number in range(MIN_OBSERVATIONS + 1):
        state = TrialState.COMPLETE if number else TrialState.PRUNED
        attributes = {**costs_of(10.0 * 2**number), "images_per_s": 1e6 / 2**number, "id": str(number)}
        study.add_trial(create_trial(state=state, value=0.5 if number else 0.9, user_attrs=attributes))
    deciding = FrontMeasuring(OBJECTIVES[:1], ("images_per_s",), {"images_per_s": 1.0}, {})
    AskTell(study, SPACE, OBJECTIVES[:1], 100, lambda number: tmp_path, front_measuring=deciding)
    assert deciding.predict_instead(costs_of(80.0), {"accuracy": 0.7}, is_complete=True) is None
    assert deciding.predict_instead(costs_of(80.0), {"accuracy": 0.4}, is_complete=True) is not None


# Searches on a simulated cluster


def true_values(architecture: Architecture) -> dict[str, float]:
    """Accuracy and throughput of a network: functions of its costs and, a little, of its id."""
    costs = cost_values(architecture)
    digest = hashlib.sha256(architecture.id.encode()).digest()
    accuracy = 1 - costs["params"] ** -0.2 + 0.3 * (digest[0] / 255 - 0.5)
    return {"accuracy": accuracy, "images_per_s": 1e8 / costs["macs"] ** 0.7 * (1 + 0.02 * (digest[1] / 255 - 0.5))}


class Cluster:
    """Workers that train and measure nothing, and count what they are asked for."""

    def __init__(self, limit: float = 0.0) -> None:
        self.limit = limit
        self.device_label = "cuda NVIDIA H100"
        self.trained: Counter[tuple[int, int]] = Counter()  # (trial, epoch)
        self.measured: Counter[int] = Counter()

    def __call__(self, site: WorkerSite) -> Cluster:
        return self

    def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The record of a trial, of its segment, or of its measurement."""
        if MeasureTask.is_in(payload):
            task = MeasureTask.from_dict(payload)
            measured = self.measure(task.number, task.architecture)
            return to_record(MeasuredOnly(measured, self.violation(measured)))
        trial = TrialTask.from_dict(payload)
        measured = Measured()
        if trial.measures and "images_per_s" not in trial.earlier.measured:
            measured = self.measure(trial.number, trial.architecture)
            if violation := self.violation(measured):
                return to_record(Refused(violation, trial.seed, measured))
        until = trial.until or EPOCHS
        self.trained[trial.number, until] += 1
        accuracy = true_values(Architecture.from_json(trial.architecture))["accuracy"] - 0.1 * (1 - until / EPOCHS)
        curve = [{"epoch": epoch + 1, "val_accuracy": accuracy} for epoch in range(until)]
        outcome = Completed(trial.seed, measured, Trained({"accuracy": accuracy}, curve, 1.0, 2.0, 0.1))
        return to_record(outcome if until == EPOCHS else Paused(**vars(outcome), epoch=until))

    def measure(self, number: int, architecture: str) -> Measured:
        """The throughput."""
        self.measured[number] += 1
        value = true_values(Architecture.from_json(architecture))["images_per_s"]
        return Measured({"images_per_s": value}, {}, "Xeon")

    def violation(self, measured: Measured) -> str | None:
        """The limit that a throughput violates."""
        value = measured.values["images_per_s"]
        return f"limit images_per_s: {value:g} < {self.limit:g}" if value < self.limit else None


def ask_tell_of(study: optuna.Study, folder: Path, store: Any, **options: Any) -> AskTell:
    """Ask and tell of a study that measures the front; each search has a new one, as each process has."""
    limits = options.get("limits", {})
    deciding = FrontMeasuring(OBJECTIVES, ("images_per_s",), limits, {})
    folders = {"folder_of": lambda number: folder / f"{number:05d}"}
    return AskTell(study, SPACE, OBJECTIVES, **folders, store=store, front_measuring=deciding, **options)


def search(study: optuna.Study, folder: Path, cluster: Cluster, **options: Any) -> None:
    """Search on two simulated workers."""
    with driving(study, folder, None) as trials:
        ask_tell = ask_tell_of(study, folder, trials, **options)
        simulator = Simulator(Script(lambda task, attempt: 0.1 if "measure" in task.payload else 1.0), (2,))
        dispatcher = TrialDispatcher(ask_tell, 2, clock=simulator.clock)
        simulator.run(cluster, dispatcher)
        dispatcher.settle()


def new_study(folder: Path) -> optuna.Study:
    """A study that is searched at random."""
    study = create_study(folder, "s", [objective.direction for objective in OBJECTIVES], {})
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    return study


def check_trials(trials: Sequence[FrozenTrial], cluster: Cluster) -> set[int]:
    """Check that every trial has ended and is measured once or predicted, and the front; returns the predicted trials."""
    assert all(trial.state.is_finished() for trial in trials)
    assert not any(trial.user_attrs.get("unmeasured") for trial in trials)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    predicted = {trial.number for trial in complete if trial.user_attrs.get(PREDICTED_VALUES)}
    measured = {trial.number for trial in complete} - predicted
    assert measured <= cluster.measured.keys()
    assert set(cluster.measured.values()) == {1}
    assert not predicted & cluster.measured.keys()
    truth = {}
    for trial in complete:
        values = true_values(Architecture.from_dict(trial.user_attrs["architecture"]))
        truth[trial.number] = (trial.values[0], trial.values[1], values["images_per_s"])
        value, low, high = (trial.user_attrs.get(PREDICTED_VALUES) or {}).get("images_per_s", [trial.values[2]] * 3)
        assert trial.values[2] == value
        assert low <= values["images_per_s"] <= high
        assert ("images_per_s" in trial.user_attrs) == (trial.number in measured)
    assert front_of({trial.number: trial.values for trial in complete}) == front_of(truth) <= measured
    return predicted


def test_trials_far_from_the_front_are_not_measured(tmp_path: Path) -> None:
    study, cluster = new_study(tmp_path), Cluster()
    search(study, tmp_path, cluster, target=60)
    trials = study.get_trials()
    predicted = check_trials(trials, cluster)
    assert 15 <= len(predicted) <= 45
    assert set(cluster.trained.values()) == {1}
    assert min(predicted) >= MIN_OBSERVATIONS
    assert len(cluster.trained) == 60


def test_a_limit_is_kept_and_only_values_far_from_it_are_not_measured(tmp_path: Path) -> None:
    study, cluster = new_study(tmp_path), Cluster(limit=9e3)
    search(study, tmp_path, cluster, target=50, limits={"images_per_s": 9e3})
    trials = study.get_trials()
    assert check_trials(trials, cluster)
    refused = [trial for trial in trials if trial.state == TrialState.PRUNED]
    assert refused
    assert not {number for number, _ in cluster.trained} & {trial.number for trial in refused}  # before their training
    assert all(trial.values[2] >= 9e3 for trial in trials if trial.state == TrialState.COMPLETE)


def test_trials_that_stop_at_a_rung_are_not_measured(tmp_path: Path) -> None:
    study, cluster = new_study(tmp_path), Cluster()
    search(study, tmp_path, cluster, target=60, promotion_rule=Halving((1, 3, EPOCHS), 3))
    trials = study.get_trials()
    check_trials(trials, cluster)
    stopped = {trial.number for trial in trials if trial.user_attrs.get("outcome") == "stopped"}
    assert len(stopped) > 30
    unmeasured = stopped - cluster.measured.keys()
    assert len(unmeasured) >= len(stopped) - 2 * MIN_OBSERVATIONS
    assert all(trials[number].user_attrs[PREDICTED_VALUES]["images_per_s"] for number in unmeasured)


class OtherDevice(Cluster):
    """The workers of a cluster whose device does not measure."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self.trained, self.measured = cluster.trained, cluster.measured
        self.device_label = "cuda NVIDIA A10"

    def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        assert not MeasureTask.is_in(payload)
        return super().run({**payload, "measures": False})


def test_workers_on_another_device_train_and_only_the_named_kind_measures(tmp_path: Path) -> None:
    study, cluster = new_study(tmp_path), Cluster()
    with driving(study, tmp_path, None) as trials:
        ask_tell = ask_tell_of(study, tmp_path, trials, target=50, kind="h100")
        script = Script(lambda task, attempt: 0.1 if "measure" in task.payload else 1.0)
        simulator = Simulator(script, (1, 1), ("cuda:0", "cuda:1"))
        dispatcher = TrialDispatcher(ask_tell, 2, clock=simulator.clock, wait_s=5.0)
        simulator.run(lambda site: cluster if site.device == "cuda:0" else OtherDevice(cluster), dispatcher)
        dispatcher.settle()
    assert check_trials(study.get_trials(), cluster)
    assert len(cluster.trained) == 50


class Cut(Exception):
    """The end of a driver that is killed."""


class CutCluster(Cluster):
    """A cluster whose driver is killed after a number of `tasks`."""

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.tasks = tasks

    def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        self.tasks -= 1
        if self.tasks < 0:
            raise Cut
        return super().run(payload)


@pytest.mark.parametrize("halving", [None, Halving((1, EPOCHS), 2)])
def test_drivers_that_are_killed_at_any_task_lose_nothing(tmp_path: Path, halving: Halving | None) -> None:
    study, cluster = new_study(tmp_path), CutCluster(tasks=1)
    for tasks in range(3, 100):
        cluster.tasks = tasks % 7 + 1
        try:
            search(study, tmp_path, cluster, target=40, promotion_rule=halving)
            break
        except Cut:
            study.sampler = optuna.samplers.RandomSampler(seed=tasks)
    trials = study.get_trials()
    ended = Counter(number for number, _ in cluster.trained)
    assert all(trial.state.is_finished() for trial in trials)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert len(complete) >= (40 if halving is None else 5)
    predicted = {trial.number for trial in complete if trial.user_attrs.get(PREDICTED_VALUES)}
    assert predicted or halving is not None
    assert not front_of({trial.number: trial.values for trial in complete}) & predicted
    assert not any(trial.user_attrs.get("unmeasured") for trial in trials)
    assert max(ended.values()) <= 3  # a training whose outcome was not written is repeated


def test_two_drivers_decide_alike(database: str, tmp_path: Path) -> None:
    place = StoragePlace(StorageUrl.parse(database), "s")
    create_study(tmp_path, "s", [objective.direction for objective in OBJECTIVES], {}, storage=place.url)
    cluster, now_s, running = Cluster(), 0.0, []
    for _ in range(2):
        study = open_server_study(place)
        leases = SharedLeases(ServerTransactions(place), poll_s=0.0, clock=lambda: now_s)
        leases.announce()
        study.sampler = optuna.samplers.RandomSampler(seed=leases.index)
        store = DatabaseTrials(study, leases.transactions, leases)
        ask_tell = ask_tell_of(study, tmp_path, store, target=40)
        running.append((leases, TrialDispatcher(ask_tell, 1, clock=lambda: now_s, wait_s=600.0)))
    for _ in range(400):
        for entry in list(running):
            leases, dispatcher = entry
            now_s += 0.5
            leases.beat()
            task = dispatcher.next_task_for("cpu Xeon")
            if isinstance(task, Task):
                dispatcher.on_ended(task, cluster.run(task.payload))
                dispatcher.write()
            elif task is not WAIT:
                dispatcher.settle()
                running.remove(entry)
    assert not running
    assert check_trials(open_server_study(place).get_trials(), cluster)


# Real workers

STUDY = """\
trials: 16
data: {source: digits, limit: 200}
space:
  stem: {patch: [2, 4]}
  stages: [{mixer: {conv: {k: [3, 5]}, pool: null}, depth: [1, 2], width: [8, 16, 24]}]
train: {epochs: 1}
objectives: [accuracy, macs, images_per_s]
sampler: {name: random}
throughput: {min_time_s: 0.001, max_time_s: 0.01, measure: front, operators_s: 2}
"""


def test_a_study_measures_the_front_shows_what_is_predicted_and_goes_on_measuring_all(nas: Any, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    folder = tmp_path / "study"
    run_search(StudyConfig.from_file(tmp_path / "study.yaml"), folder, open_with=lambda: nullcontext(Simulator()))
    study = StoredStudy.open(folder)
    trials = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    assert len(trials) == 16
    assert all(trial.user_attrs[OPERATOR_PREDICTIONS]["images_per_s"] > 0 for trial in trials)
    predicted = [trial.number for trial in trials if trial.user_attrs.get(PREDICTED_VALUES)]
    segments = {trial.number: [s["outcome"] for s in trial.user_attrs["segments"]] for trial in trials}
    later = [number for number, outcomes in segments.items() if outcomes == ["completed", "measured"]]
    assert len(later) + len(predicted) == 16 - MIN_OBSERVATIONS
    assert all(trial.user_attrs["overhead_s"] > 0.001 for trial in trials)

    all_values = StudyConfig.from_file(tmp_path / "study.yaml", "trials=18", "throughput.measure=all")
    run_search(all_values, folder, open_with=lambda: nullcontext(Simulator()))
    added = [trial for trial in study.trials[trials[-1].number + 1 :] if trial.state == TrialState.COMPLETE]
    assert len(added) == 2
    assert all("images_per_s" in trial.user_attrs for trial in added)

    status = json.loads(nas("status", folder, "--json").stdout)
    assert status.get("predicted_trials", {}).get("images_per_s", 0) == len(predicted)


def test_another_value_of_the_key_is_refused_with_exit_code_2(nas: Any, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    run = nas("search", tmp_path / "study.yaml", "--out", tmp_path / "study", "throughput.measure=some")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "nas: error: throughput.measure=some: input should be 'all' or 'front', found some\n"
    assert not (tmp_path / "study").exists()
