"""A trial that another driver has adopted, and that comes back to the driver that had it before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from nas.driver.ask_tell import AskTell
from nas.driver.proposal import Proposal
from nas.execution.base import Loss
from nas.study.database.leases import SharedLeases
from nas.study.database.server_storage import open_server_study
from nas.study.database.storage import create_study
from nas.study.database.storage_url import StoragePlace, StorageUrl
from nas.study.database.transactions import ServerTransactions
from nas.study.database.trial_database import DatabaseTrials
from nas.study.outcomes.losses import losses_of
from nas.study.outcomes.records import MachineFailure
from nas.study.segments import Segment, WorkerFiles, segments_of

LEASE_S = 60.0
DIED = MachineFailure("the worker died", is_certain=False)


class Drivers:
    """Two drivers of a study; the first one has the trial 0, and knows its segment."""

    def __init__(self, driver: Any, url: str, folder: Path) -> None:
        self.now_s = 0.0
        self.driver = driver
        self.place = StoragePlace(StorageUrl.parse(url), "s")
        directions = [objective.direction for objective in driver.objectives]
        create_study(folder, "s", directions, {}, storage=self.place.url)
        self.files = WorkerFiles(folder / "workers")
        self.files.folder.mkdir()
        self.first, self.first_leases = self._join()
        assert isinstance(self.first.propose(), Proposal)
        self.second, self.second_leases = self._join()
        self.announce(self.first, "node1/cpu/1")

    def _join(self) -> tuple[AskTell, SharedLeases]:
        study = open_server_study(self.place)
        study.sampler = optuna.samplers.RandomSampler(seed=0)
        leases = SharedLeases(ServerTransactions(self.place), LEASE_S, poll_s=0.0, clock=lambda: self.now_s)
        leases.announce()
        store = DatabaseTrials(study, leases.transactions, leases)
        return self.driver.ask_tell(study, 2, store=store, workers=self.files), leases

    def adopt(self) -> None:
        """The first driver is stopped for longer than its lease: the second one adopts the trial, and announces a segment."""
        for _ in range(13):
            self.now_s += 5.0
            self.second_leases.beat()
        adopted = self.second.propose()
        assert isinstance(adopted, Proposal)
        assert adopted.number == 0
        self.announce(self.second, "node2/cpu/2")
        self.first_leases.beat()
        self.first.state.sync()

    def come_back(self) -> None:
        """The second driver ends, and the first one adopts the trial."""
        self.second_leases.release()
        proposal = self.first.propose()
        assert isinstance(proposal, Proposal)
        assert proposal.number == 0

    def announce(self, ask_tell: AskTell, worker: str) -> None:
        """A worker of a driver starts the trial."""
        self.files.announce(0, Segment(worker, 1000.0))
        ask_tell.segments.read_workers()
        for file in self.files.folder.iterdir():
            file.unlink()

    @staticmethod
    def lose(ask_tell: AskTell, reason: str) -> None:
        """A driver loses the node of the trial."""
        losses, _ = ask_tell.losses.add(0, Loss("node", reason))
        ask_tell.record_losses(0, losses)

    @property
    def attributes(self) -> dict[str, Any]:
        """The user attributes of the trial, as they are stored."""
        return open_server_study(self.place).get_trials()[0].user_attrs


@pytest.fixture
def drivers(driver: Any, database: str, tmp_path: Path) -> Drivers:
    """See `Drivers`."""
    return Drivers(driver, database, tmp_path)


def test_the_losses_that_the_other_driver_has_recorded_stay(drivers: Drivers) -> None:
    drivers.lose(drivers.first, "node 1 was lost")
    drivers.adopt()
    drivers.lose(drivers.second, "node 2 was lost")
    drivers.come_back()
    drivers.lose(drivers.first, "node 3 was lost")
    assert [loss.reason for loss in losses_of(drivers.attributes)] == [f"node {n} was lost" for n in (1, 2, 3)]


def test_the_segments_of_the_other_driver_stay(drivers: Drivers) -> None:
    drivers.adopt()
    drivers.come_back()
    drivers.announce(drivers.first, "node1/cpu/3")
    assert [segment.worker for segment in segments_of(drivers.attributes)] == [
        "node1/cpu/1",
        "node2/cpu/2",
        "node1/cpu/3",
    ]


def test_a_failure_of_a_trial_that_went_to_another_driver_is_no_evidence_against_the_machine(drivers: Drivers) -> None:
    drivers.first.record(0, DIED)  # held
    drivers.adopt()
    other = drivers.first.propose()
    assert isinstance(other, Proposal)
    drivers.first.record(other.number, DIED)  # held, too: the only one
    assert drivers.first.suspects.has_held
    assert drivers.attributes.get("machine_failure") is None


def test_a_held_trial_that_comes_back_is_trained_and_does_not_fail(drivers: Drivers) -> None:
    drivers.first.record(0, DIED)  # held
    drivers.adopt()
    drivers.come_back()
    drivers.first.settle()
    assert "failure" not in drivers.attributes
