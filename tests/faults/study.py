"""A real search in processes of its own, which faults are injected into: `nas search` as a user starts it.

The home of a study is a folder with a short path (Ray's sockets need one), with the study's file, its folder `runs`, what the
command has said, and the folder for temporary files, so that whatever is left behind is found.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from cluster import RayCluster
from driver_process import DriverProcess
from node_network import NodeNetwork
from postgresql import PASSWORD, PostgreSQL
from probe import TrainingProbe
from processes import MARKER, MarkedProcess, kill_all, marked_processes, role_of

from nas.errors import StudyError
from nas.study.config import StudyConfig
from nas.study.stored import StoredStudy
from nas.study.trials import AnyTrial

STUDY = """\
data: {source: digits, limit: 600}
space:
  stem: {patch: [2, 4]}
  stages:
    - mixer: {conv: {k: 3}, pool: null}
      channel_mixer: {mlp: {expansion: [1, 2, 4]}}
      depth: [1, 2]
      width: [16, 32]
      residual: [pre_norm, single]
train: {batch_size: 16, validate_every: 1}
throughput: {min_time_s: 0.02, max_time_s: 0.1, operators_s: 1}
"""
"""A space of some hundred architectures, each trained for a second or two."""

SHORT_LEASES = """\
import functools
from nas.cli.main import main
from nas.study.database import leases, trial_database

trial_database.SharedLeases = functools.partial(leases.SharedLeases, lease_s=15.0, interval_s=2.0)
main()
"""
"""The command `nas` with leases that expire after 15 s instead of a minute."""

TRAININGS = {
    "plain": ("train.epochs=8",),
    "halving": ("train.epochs=9", "scheduler.name=halving"),
    "long": ("train.epochs=24",),  # long enough for checkpoints without a scheduler
}
"""Name -> overrides: how the trials of a study are trained."""


@dataclass(frozen=True)
class StudySetup:
    """What to search.

    Args:
        executor: "local" or "ray_tune".
        training: one of `TRAININGS`.
        trials: number of trials.
        seed: the seed of the study.
        workers: number of workers.
        database: "sqlite", in the folder of the study, or "postgresql".
        nodes: number of nodes of a Ray cluster that exists before the search; 0: there is none.
        drivers: number of drivers, which share a database in PostgreSQL; each has so many workers.
    """

    executor: str
    training: str = "plain"
    trials: int = 12
    seed: int = 0
    workers: int = 2
    database: str = "sqlite"
    nodes: int = 0
    drivers: int = 1

    @property
    def overrides(self) -> tuple[str, ...]:
        """What to override in `STUDY`."""
        resources = (f"resources.executor={self.executor}", f"resources.workers={self.workers}")
        return (*TRAININGS[self.training], *resources, f"trials={self.trials}", f"seed={self.seed}")


@dataclass
class StudyUnderTest:
    """A search in the folder `home`. Make one with `open_study_under_test`."""

    home: Path
    setup: StudySetup
    marker: str
    server: PostgreSQL | None = None
    url: str | None = None
    cluster: RayCluster | None = None
    drivers: list[DriverProcess] = field(default_factory=list)
    """Its drivers, each as it was started last."""
    starts: int = 0
    started_at: float = 0.0
    _target: int = 0
    losses: Counter[int] = field(default_factory=Counter)
    """Trial -> number of faults that have ended its process."""
    probe: TrainingProbe = field(init=False)

    def __post_init__(self) -> None:
        (self.home / "study.yaml").write_text(STUDY)
        lock_file = self.temporary / f"mixfront-{os.getuid()}" / "cpu.busy"
        self.probe = TrainingProbe(lock_file, self.folder / "trials")

    @property
    def folder(self) -> Path:
        """The folder of the study."""
        return self.home / "runs"

    @property
    def temporary(self) -> Path:
        """The folder for temporary files of its processes."""
        return self.home / "t"

    @property
    def config(self) -> StudyConfig:
        """The configuration of the study."""
        return StudyConfig.from_file(self.home / "study.yaml", *self.setup.overrides)

    @property
    def command(self) -> list[str]:
        """The command that starts and continues it."""
        program = ["-m", "nas.cli"] if self.setup.drivers == 1 else ["-c", SHORT_LEASES]
        places = [] if self.url is None else ["--storage", self.url]
        places += [] if self.cluster is None else ["--address", self.cluster.address]
        return [sys.executable, *program, "search", "study.yaml", "--out", "runs", *places, *self.setup.overrides]

    def start(self) -> None:
        """Start the search, or continue it: every driver that does not run and has not finished."""
        environment = {**os.environ, MARKER: self.marker, "TMPDIR": str(self.temporary), "PGPASSWORD": PASSWORD}
        environment |= {} if self.cluster is None else self.cluster.variables
        for index in range(self.setup.drivers):
            if index < len(self.drivers) and self.drivers[index].exit_code in (None, 0):
                continue
            self.starts += 1
            self.started_at = time.monotonic()
            driver = DriverProcess.start(self.command, self.home, environment, f"{self.starts:03d}")
            self.drivers[index : index + 1] = [driver]

    def aim(self, random: Random) -> None:
        """Choose the driver that the next fault hits: one that lives."""
        living = [index for index, driver in enumerate(self.drivers) if driver.exit_code is None]
        self._target = random.choice(living) if len(living) > 1 else (living or [0])[0]

    @property
    def target(self) -> DriverProcess:
        """The driver that a fault hits."""
        return self.drivers[self._target]

    def last_lines(self) -> list[str]:
        """The last lines that the drivers have written on standard error."""
        return [line for driver in self.drivers for line in driver.last_lines()]

    @property
    def exit_code(self) -> int | None:
        """None while a driver lives; 0 if all have finished; otherwise the exit code of one that has not."""
        codes = [driver.exit_code for driver in self.drivers]
        return None if None in codes else next(filter(None, codes), 0)

    def all_processes(self) -> list[MarkedProcess]:
        """The living processes of the search and of the nodes of its cluster."""
        nodes = [] if self.cluster is None else [self.cluster.marker_of(node) for node in range(self.cluster.nodes)]
        return [process for marker in (self.marker, *nodes) for process in marked_processes(marker)]

    def processes(self) -> dict[str, list[MarkedProcess]]:
        """Role -> its living processes (`processes.role_of`)."""
        roles: dict[str, list[MarkedProcess]] = {}
        drivers = {driver.pid for driver in self.drivers}
        for process in self.all_processes():
            roles.setdefault(role_of(process, drivers), []).append(process)
        return roles

    def trials(self) -> Sequence[AnyTrial]:
        """The trials as the storage holds them; none before there is a study."""
        with contextlib.suppress(StudyError):
            return StoredStudy.read(self.folder).trials
        return ()

    def assignments(self, driver: DriverProcess | None = None) -> dict[int, int]:
        """Process number of a worker -> the trial that it has announced last; of one `driver`, or of all."""
        assigned = {}
        for folder, _, names in os.walk(self.folder / "workers"):  # in PostgreSQL each driver has a folder of its own
            if driver is not None and self.setup.database != "sqlite" and f"_{driver.pid}_" not in Path(folder).name:
                continue
            for file in (Path(folder, name) for name in names if name.endswith(".json")):
                with contextlib.suppress(OSError, ValueError, KeyError):
                    plain = json.loads(file.read_text())
                    assigned[int(plain["segment"]["worker"].rpartition("/")[2])] = int(plain["trial"])
        return assigned

    def kill(self) -> None:
        """Kill every process of the study."""
        kill_all(self.marker)
        self.wait()

    def wait(self) -> None:
        """Wait for the end of all drivers."""
        for driver in self.drivers:
            driver.process.wait()


@contextmanager
def open_study_under_test(
    setup: StudySetup,
    parent: Path = Path("/tmp"),
    disk_mib: int = 0,
    server: PostgreSQL | None = None,
    needs_links: bool = False,
) -> Iterator[StudyUnderTest]:
    """Yield a study that is not started yet, in a new home, which is removed at the end together with all its processes.

    Args:
        setup: what to search.
        parent: the folder in which the home is created; its path is at most 8 bytes long.
        disk_mib: the size of a disk of its own (a tmpfs) for the study's folder; 0: it has none.
        server: holds the database of a study in PostgreSQL.
        needs_links: True if the nodes of its cluster have links that can be cut.

    Raises:
        OSError: the disk cannot be mounted.
    """
    home = Path(tempfile.mkdtemp(prefix="nf", dir=parent))
    url = server.create_database() if server is not None and setup.database == "postgresql" else None
    study = StudyUnderTest(home, setup, uuid.uuid4().hex, server, url)
    study.temporary.mkdir()
    study.folder.mkdir()
    if disk_mib:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={disk_mib}m", "tmpfs", str(study.folder)]
        subprocess.run(mount, check=True, capture_output=True)
    if setup.nodes:
        network = NodeNetwork(setup.nodes).open() if needs_links else None
        study.cluster = RayCluster(study.marker, study.home / "r", setup.nodes, study.temporary, network)
    try:
        for node in range(setup.nodes):
            assert study.cluster is not None
            study.cluster.start(node)
        with study.probe.watching():
            yield study
    finally:
        study.kill()
        if study.cluster is not None:
            study.cluster.end()
        if disk_mib:
            subprocess.run(["umount", "-l", str(study.folder)], check=True)
        shutil.rmtree(home, ignore_errors=True)
