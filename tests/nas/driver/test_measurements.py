"""Trials that are trained on one kind of device and measured on another, on a simulated cluster and with several drivers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import TrialState

from nas.analysis.results import Results
from nas.driver.ask_tell import AskTell
from nas.driver.dispatch import TrialDispatcher
from nas.driver.proposal import Proposal
from nas.driver.run import run_search
from nas.driver.rungs.promotion import Halving
from nas.errors import MachineError
from nas.execution.base import WAIT, Task, TaskSource, WorkerFactory, WorkerSite
from nas.execution.simulator import Script, Simulator
from nas.study.config import StudyConfig
from nas.study.database.leases import SharedLeases
from nas.study.database.server_storage import open_server_study
from nas.study.database.storage import create_study
from nas.study.database.storage_url import StoragePlace, StorageUrl
from nas.study.database.transactions import ServerTransactions
from nas.study.database.trial_database import DatabaseTrials, driving
from nas.study.device_kind import is_of_kind
from nas.study.layout import WEIGHTS
from nas.study.measuring_device import SameDevice
from nas.study.outcomes.outcome_parts import Measured, Trained
from nas.study.outcomes.record_json import to_record
from nas.study.outcomes.records import Completed, MeasuredOnly, Paused
from nas.study.outcomes.worker_tasks import MeasureTask, TrialTask
from nas.study.stored import StoredStudy
from nas.study.trials import is_trained
from nas.terminal.tables import trial_record
from search_space import Architecture, cost
from trainers.device import device_name

NAMES = {"cuda:0": "NVIDIA H100 80GB HBM3", "cuda:1": "NVIDIA A10", "cpu": "Xeon"}


class Fleet:
    """Creates workers on simulated devices, and counts what they do.

    Args:
        kind: the kind of device that measures; None: each does.
    """

    def __init__(self, kind: str | None) -> None:
        self.kind = kind
        self.trained: Counter[tuple[int, str]] = Counter()  # (trial, device) -> segments
        self.measured: Counter[tuple[int, str]] = Counter()

    def __call__(self, site: WorkerSite) -> FleetWorker:
        return FleetWorker(self, site.device)


class FleetWorker:
    """Trains nothing: accuracy rises with parameters and epochs, throughput is that of the device."""

    def __init__(self, fleet: Fleet, device: str) -> None:
        self.fleet = fleet
        self.name = NAMES[device]
        self.device_label = f"{device.partition(':')[0]} {self.name}"

    def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The record of a trial, of its segment, or of its measurement."""
        if MeasureTask.is_in(payload):
            return to_record(MeasuredOnly(self.measure(MeasureTask.from_dict(payload).number)))
        task = TrialTask.from_dict(payload)
        self.fleet.trained[task.number, self.name] += 1
        until = task.until or 9
        accuracy = 1 - 1 / (cost(Architecture.from_json(task.architecture)).params * until) ** 0.2
        curve = [{"epoch": epoch + 1, "val_accuracy": accuracy} for epoch in range(until)]
        measured = Measured() if "images_per_s" in task.earlier.measured else self.measure(task.number)
        outcome = Completed(task.seed, measured, Trained({"accuracy": accuracy}, curve, 1.0, 2.0, 0.1))
        return to_record(outcome if until == 9 else Paused(**vars(outcome), epoch=until))

    def measure(self, number: int) -> Measured:
        """The throughput of a network here, if this device measures."""
        if self.fleet.kind is not None and not is_of_kind(self.device_label, self.fleet.kind):
            return Measured()
        self.fleet.measured[number, self.name] += 1
        return Measured({"images_per_s": float(len(self.name))}, {}, self.name)


def search(
    driver: Any, study: optuna.Study, fleet: Fleet, devices: tuple[str, ...], wait_s: float = 5.0, **options: Any
) -> AskTell:
    """Search on a simulated cluster with a node of two workers for each of `devices`."""
    with driving(study, driver.folder, None) as trials:
        ask_tell: AskTell = driver.ask_tell(study, kind=fleet.kind, store=trials, **options)
        simulator = Simulator(
            Script(lambda task, attempt: 0.1 if "measure" in task.payload else 1.0), (2,) * len(devices), devices
        )
        dispatcher = TrialDispatcher(ask_tell, simulator.allocation.workers, clock=simulator.clock, wait_s=wait_s)
        simulator.run(fleet, dispatcher)
        dispatcher.settle()
    return ask_tell


@pytest.mark.parametrize("halving", [None, Halving((1, 3, 9), 3)])
def test_others_train_and_only_the_named_kind_measures(driver: Any, halving: Halving | None) -> None:
    study, fleet = driver.study(stored=True), Fleet("h100")
    search(driver, study, fleet, ("cuda:0", "cuda:1"), target=12, promotion_rule=halving)
    trials = study.get_trials()
    assert all(trial.state.is_finished() for trial in trials)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert len(complete) >= (12 if halving is None else 1)
    assert {trial.values[2] for trial in complete} == {float(len(NAMES["cuda:0"]))}
    assert {trial.user_attrs["device"] for trial in trials if is_trained(trial)} == {NAMES["cuda:0"]}
    assert {name for _, name in fleet.measured} == {NAMES["cuda:0"]}
    assert set(fleet.measured.values()) == {1}
    assert {name for _, name in fleet.trained} == {NAMES["cuda:0"], NAMES["cuda:1"]}
    assert not any(trial.user_attrs.get("unmeasured") for trial in trials)
    rungs = Counter(number for number, _ in fleet.trained.elements())
    if halving is None:
        assert set(rungs.values()) == {1}  # nothing is trained twice


def test_a_search_without_such_a_device_ends_in_words_and_another_goes_on_without_training_again(driver: Any) -> None:
    study, fleet = driver.study(stored=True), Fleet("H100")
    rule = r"throughput\.device: 3 trials wait to be measured, and no worker has a device named 'H100', found NVIDIA A10 for 5s"
    with pytest.raises(MachineError, match=rule):
        Waiting(driver, study, fleet, "cuda:1", target=3).run()
    trained = dict(fleet.trained)
    assert {trial.state for trial in study.get_trials()} == {TrialState.RUNNING}
    search(driver, study, fleet, ("cuda:0",), target=3)
    assert dict(fleet.trained) == trained
    assert len(fleet.measured) == 3
    assert {trial.state for trial in study.get_trials()} == {TrialState.COMPLETE}


class Waiting:
    """A search with one worker, by hand: its clock goes on while it waits."""

    def __init__(self, driver: Any, study: optuna.Study, fleet: Fleet, device: str, **options: Any) -> None:
        self.driver, self.study, self.fleet, self.options = driver, study, fleet, options
        self.worker = fleet(WorkerSite(device))
        self.lines: list[str] = []

    def run(self, wait_s: float = 5.0, max_steps: int = 1000) -> None:
        """Run until the search ends."""
        now_s = 0.0
        with driving(self.study, self.driver.folder, None) as trials:
            ask_tell = self.driver.ask_tell(self.study, kind=self.fleet.kind, store=trials, **self.options)
            dispatcher = TrialDispatcher(ask_tell, 1, clock=lambda: now_s, wait_s=wait_s, on_message=self.lines.append)
            for _ in range(max_steps):
                task = dispatcher.next_task_for(self.worker.device_label)
                if isinstance(task, Task):
                    dispatcher.on_started(task)
                    dispatcher.on_ended(task, self.worker.run(task.payload))
                elif task is not WAIT:
                    dispatcher.settle()
                    return
                now_s += 1.0
                dispatcher.tick()
        raise AssertionError("the search does not end")


def test_few_trials_are_trained_blindly_and_the_user_is_told(driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.driver.propose.MAX_UNMEASURED", 4)
    waiting = Waiting(driver, driver.study(stored=True), Fleet("H100"), "cuda:1", target=20)
    with pytest.raises(MachineError, match="4 trials wait"):
        waiting.run(wait_s=60.0)
    (line,) = waiting.lines
    assert line.endswith("no worker has a device named 'H100', found NVIDIA A10; the trainings go on")


def test_a_measured_limit_refuses_a_trial_that_was_trained_elsewhere(driver: Any) -> None:
    study, fleet = driver.study(stored=True), Fleet("H100")
    number_of_h100 = float(len(NAMES["cuda:0"]))

    def refusing(site: WorkerSite) -> Any:
        worker = fleet(site)
        run = worker.run

        def run_or_refuse(payload: Mapping[str, Any]) -> dict[str, Any]:
            record = run(payload)
            if not MeasureTask.is_in(payload):
                folder = Path(TrialTask.from_dict(payload).folder)
                folder.mkdir()
                (folder / WEIGHTS).touch()
            elif MeasureTask.from_dict(payload).number % 2:
                record["violation"] = f"limit images_per_s: {number_of_h100} < 30"
            return record

        worker.run = run_or_refuse  # type: ignore[method-assign]
        return worker

    with driving(study, driver.folder, None) as trials:
        ask_tell = driver.ask_tell(study, target=6, kind="H100", store=trials, limits={"images_per_s": 1.0})
        simulator = Simulator(nodes=(1, 1), devices=("cuda:1", "cuda:0"))
        simulator.run(refusing, TrialDispatcher(ask_tell, 2, clock=simulator.clock))
    stored = study.get_trials()
    assert sum(trial.state == TrialState.COMPLETE for trial in stored) == 6
    refused = [trial for trial in stored if trial.state == TrialState.PRUNED]
    assert refused
    assert not any((driver.folder / f"{trial.number:05d}" / WEIGHTS).exists() for trial in refused)
    assert all(trial.user_attrs["refused"].startswith("limit images_per_s") for trial in refused)
    assert all(trial.user_attrs["images_per_s"] == number_of_h100 for trial in refused)


def test_without_the_key_a_second_kind_of_device_ends_the_search_in_one_line(driver: Any) -> None:
    study, fleet, names = driver.study(stored=True), Fleet(None), list[str]()

    def settle(device: str) -> str:
        names.append(device)
        return names[0]

    rule = (
        "throughput.device: must name the device .* different ones: NVIDIA H100 80GB HBM3 and NVIDIA A10; with it, the"
    )
    with pytest.raises(MachineError, match=rule):
        search(driver, study, fleet, ("cuda:0", "cuda:1"), target=8, check_device=SameDevice(settle).check)
    stored = study.get_trials(states=[TrialState.COMPLETE])
    assert {trial.user_attrs["device"] for trial in stored} == {NAMES["cuda:0"]}
    search(driver, study, Fleet("A10"), ("cuda:1",), target=8, check_device=lambda device: None)
    assert not study.get_trials(states=[TrialState.RUNNING])


def join(
    driver: Any, place: StoragePlace, clock: Callable[[], float], **options: Any
) -> tuple[SharedLeases, TrialDispatcher]:
    """A driver of the study at `place`."""
    study = open_server_study(place)
    leases = SharedLeases(ServerTransactions(place), poll_s=0.0, clock=clock)
    leases.announce()
    study.sampler = optuna.samplers.RandomSampler(seed=leases.index)
    store = DatabaseTrials(study, leases.transactions, leases)
    ask_tell = driver.ask_tell(study, store=store, kind="H100", **options)
    return leases, TrialDispatcher(ask_tell, 1, clock=clock, wait_s=600.0)


@pytest.mark.parametrize("halving", [None, Halving((1, 9), 2)])
def test_a_driver_without_the_device_trains_and_another_measures(
    driver: Any, database: str, tmp_path: Path, halving: Halving | None
) -> None:
    place = StoragePlace(StorageUrl.parse(database), "s")
    create_study(tmp_path, "s", [objective.direction for objective in driver.objectives], {}, storage=place.url)
    fleet, now_s = Fleet("H100"), 0.0
    drivers = [
        (*join(driver, place, lambda: now_s, target=8, promotion_rule=halving), fleet(WorkerSite(device)))
        for device in ("cuda:1", "cuda:0")
    ]
    running = list(drivers)
    for _ in range(400):
        for entry in list(running):
            leases, dispatcher, worker = entry
            now_s += 0.5
            leases.beat()
            task = dispatcher.next_task_for(worker.device_label)
            if isinstance(task, Task):
                dispatcher.on_ended(task, worker.run(task.payload))
                dispatcher.write()
            elif task is not WAIT:
                dispatcher.settle()
                running.remove(entry)
    assert not running
    trials = open_server_study(place).get_trials()
    assert all(trial.state.is_finished() for trial in trials)
    assert {trial.user_attrs["device"] for trial in trials if is_trained(trial)} == {NAMES["cuda:0"]}
    assert {name for _, name in fleet.measured} == {NAMES["cuda:0"]}
    assert {name for _, name in fleet.trained} == {NAMES["cuda:0"], NAMES["cuda:1"]}
    assert set(fleet.measured.values()) == {1}
    if halving is None:
        assert len(fleet.trained) == 8
    else:  # a training goes on where its checkpoint is
        by_trial: dict[int, set[str]] = {}
        for number, name in fleet.trained:
            by_trial.setdefault(number, set()).add(name)
        assert all(len(names) == 1 for names in by_trial.values())


def test_a_worker_that_nobody_knows_yet_may_get_a_measurement_and_returns_it(driver: Any) -> None:
    study, fleet = driver.study(stored=True), Fleet("H100")
    ask_tell = driver.ask_tell(study, target=1, kind="H100")
    dispatcher = TrialDispatcher(ask_tell, 1)
    stranger = fleet(WorkerSite("cuda:1"))
    for _ in range(3):  # a training, and twice the same measurement
        task = dispatcher.next_task_for(None)
        assert isinstance(task, Task)
        dispatcher.on_ended(task, stranger.run(task.payload))
        dispatcher.write()
    assert dispatcher.next_task_for(stranger.device_label) is WAIT
    task = dispatcher.next_task_for("cuda NVIDIA H100 80GB HBM3")
    assert isinstance(task, Task)
    dispatcher.on_ended(task, fleet(WorkerSite("cuda:0")).run(task.payload))
    dispatcher.settle()
    assert [trial.state for trial in study.get_trials()] == [TrialState.COMPLETE]
    assert not isinstance(ask_tell.propose(), Proposal)


STUDY = """\
trials: 4
data: {source: digits, limit: 200}
space:
  stem: {patch: [2, 4]}
  stages: [{mixer: {conv: {k: [3, 5]}, pool: null}, depth: [1, 2], width: [8, 16]}]
train: {epochs: 1}
sampler: {name: random}
throughput: {min_time_s: 0.001, max_time_s: 0.01}
"""


class MixedMachines(Simulator):
    """Two machines with real evaluators, one of which takes its device for a GPU of another kind."""

    def run(self, make_worker: WorkerFactory, source: TaskSource, folder: Path | None = None) -> None:
        def make(site: WorkerSite) -> Any:
            worker: Any = make_worker(WorkerSite("cpu"))
            if site.device != "cpu":
                worker.device_label, worker.may_measure = "cuda NVIDIA A10", False
            return worker

        super().run(make, source, folder)


def test_a_search_measures_on_the_named_device_and_shows_it(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    config = StudyConfig.from_file(tmp_path / "study.yaml", "throughput.device=cpu")
    machines = MixedMachines(nodes=(1, 1), devices=("cuda:1", "cpu"))
    study = run_search(config, tmp_path / "study", open_with=lambda: nullcontext(machines)).study
    name = device_name(torch.device("cpu"))
    trained = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    assert [trial.user_attrs["device"] for trial in trained] == [name] * 4
    segments = [len(trial.user_attrs["segments"]) for trial in trained]
    assert set(segments) == {1, 2}  # trained and measured at once, or apart
    record = trial_record(results := Results.load(tmp_path / "study"), results.trial("best"))
    assert record["device"] == name
    assert "throughput_device" not in study.user_attrs


def test_the_device_of_the_first_measurement_is_kept_with_the_study(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    folder = tmp_path / "study"
    run_search(
        StudyConfig.from_file(tmp_path / "study.yaml", "trials=1"), folder, open_with=lambda: nullcontext(Simulator())
    )
    study = StoredStudy.open(folder)
    assert study.user_attrs["throughput_device"] == device_name(torch.device("cpu"))
    study.optuna.set_user_attr("throughput_device", "NVIDIA A10")
    more = StudyConfig.from_file(tmp_path / "study.yaml", "trials=2")
    with pytest.raises(MachineError, match=r"throughput\.device: must name the device .*: NVIDIA A10 and "):
        run_search(more, folder, open_with=lambda: nullcontext(Simulator()))
    named = StudyConfig.from_file(tmp_path / "study.yaml", "trials=2", "throughput.device=cpu")
    run_search(named, folder, open_with=lambda: nullcontext(Simulator()))
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2
