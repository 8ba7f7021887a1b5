"""The processes of `nas fidelity`: a job that kills its process fails alone, and none outlives what it was started for."""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.errors import StudyError
from nas.execution import local_processes as pool
from nas.execution.local_processes import Crew, Task
from nas.fidelity.plan import Job
from trainers.training.config import TrainConfig

# What a process does instead of training: in a file, for processes import it by name.
LIGHT = """
import os, signal, time

def begin(crew, devices):
    pass

def work(task):
    job, folder = task
    if job.seed == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    if job.seed == 99:
        (folder / "pid").write_text(str(os.getpid()))
        time.sleep(600)
    return {"seed": job.seed, "pid": os.getpid()}
"""


@pytest.fixture
def crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crew]:
    """Two processes that train nothing; those of before the test are all that is left after it."""
    (tmp_path / "light_jobs.py").write_text(LIGHT)
    monkeypatch.syspath_prepend(tmp_path)
    light = importlib.import_module("light_jobs")
    monkeypatch.setattr(pool, "_begin", light.begin)
    monkeypatch.setattr(pool, "_work", light.work)
    before = set(multiprocessing.active_children())
    yield Crew(tmp_path / "none", TrainConfig(), ("cpu", "cpu"), 1)
    assert set(multiprocessing.active_children()) == before


def tasks(folder: Path, *seeds: int) -> list[Task]:
    return [(Job(f"a{seed}", "{}", None, 0, seed), folder) for seed in seeds]


def test_each_job_is_done_once_by_few_processes(crew: Crew, tmp_path: Path) -> None:
    found = [(job.seed, record["seed"], record["pid"]) for job, record in pool.run(crew, tasks(tmp_path, *range(6)))]
    assert sorted((job, record) for job, record, _ in found) == [(seed, seed) for seed in range(6)]
    assert len({pid for _, _, pid in found}) <= 2


def test_a_job_whose_process_dies_fails_alone(crew: Crew, tmp_path: Path) -> None:
    records = {job.seed: record for job, record in pool.run(crew, tasks(tmp_path, 1, 13, 2, 3))}
    assert records.keys() == {1, 13, 2, 3}
    assert records[13] == {"id": "a13", "seed": 13, "failure": pool.DIED}
    assert all("failure" not in records[seed] for seed in (1, 2, 3))


def test_leaving_the_iteration_ends_the_processes_at_once(crew: Crew, tmp_path: Path) -> None:
    running = pool.run(crew, tasks(tmp_path, 99, 1, 2))
    assert next(running)[0].seed in (1, 2)
    running.close()
    pid = (tmp_path / "pid").read_text()
    assert not Path(f"/proc/{pid}").exists()


def test_a_process_that_cannot_begin_says_why(tmp_path: Path) -> None:
    crew = Crew(tmp_path / "nothing.safetensors", TrainConfig(), ("cpu",), 1)
    with pytest.raises(StudyError, match=r"a process could not begin: DataError: .*nothing\.safetensors: no such file"):
        list(pool.run(crew, tasks(tmp_path, 1)))
