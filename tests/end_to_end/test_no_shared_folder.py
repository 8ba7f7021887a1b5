"""A search whose workers are processes that do not see its folder: each has a machine's temporary folder of its own."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from nas.driver.run import run_search
from nas.evaluation.factory import EvaluatorFactory
from nas.execution.base import FINISHED, Executor, Loss, Result, Task, TaskSource, WorkerFactory, WorkerSite
from nas.execution.driver_files import FolderFiles
from nas.execution.resources import Allocation
from nas.models.export import export
from nas.study.config import StudyConfig
from nas.study.content import StudySnapshot
from nas.study.layout import CHECKPOINT, WEIGHTS
from nas.study.stored import StoredStudy

# A machine; in a file, since processes import it by name.
MACHINE = """
import tempfile, threading
from nas.execution.base import WorkerSite

class PipeFiles:
    "The driver's files, at the other end of a pipe."
    def __init__(self, pipe):
        self.pipe, self.lock = pipe, threading.Lock()

    def __getattr__(self, method):
        def call(*arguments):
            with self.lock:
                self.pipe.send((method, arguments))
                answer, error = self.pipe.recv()
            if error is not None:
                raise error
            return answer
        return call

def work(folder, make_worker, tasks, files):
    tempfile.tempdir = folder
    worker = make_worker(WorkerSite("cpu", None if files is None else PipeFiles(files)))
    while (payload := tasks.recv()) is not None:
        tasks.send(worker.run(payload))
"""
CONTEXT = multiprocessing.get_context("spawn")


@pytest.fixture(scope="module")
def machine_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("module")
    (folder / "isolated_machine.py").write_text(MACHINE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]))
        yield importlib.import_module("isolated_machine")
    sys.modules.pop("isolated_machine", None)


class Machine:
    """A process with a temporary folder of its own."""

    def __init__(
        self, work: Callable[..., None], folder: Path, make_worker: WorkerFactory, served: Path | None
    ) -> None:
        folder.mkdir()
        self.tasks, tasks = CONTEXT.Pipe()
        self.files, files = CONTEXT.Pipe()
        arguments = (str(folder), make_worker, tasks, None if served is None else files)
        self.process = CONTEXT.Process(target=work, args=arguments, daemon=True)
        self.process.start()
        if served is not None:
            threading.Thread(target=serve, args=(FolderFiles(served), self.files), daemon=True).start()

    def run(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        self.tasks.send(dict(payload))
        result: Mapping[str, Any] = self.tasks.recv()
        return result

    def close(self) -> None:
        self.process.kill()
        self.process.join()


def serve(files: FolderFiles, pipe: Connection) -> None:
    """Answer the calls of a machine until it is gone."""
    while True:
        try:
            method, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer = getattr(files, method)(*arguments), None
        except Exception as error:
            answer = None, error
        pipe.send(answer)


class Isolated(Executor):
    """Gives each task to the next of two machines, none of which sees the study's folder. The second dies with its third task.

    Args:
        work: what a machine does.
        folder: for the temporary folders of the machines.
        is_served: whether they reach the driver's files.
    """

    allocation = Allocation(1, 1, 0.0)

    def __init__(self, work: Callable[..., None], folder: Path, is_served: bool = True) -> None:
        self.work = work
        self.folder = folder
        self.is_served = is_served
        self.count = 0

    def run(self, make_worker: WorkerFactory, source: TaskSource, folder: Path | None = None) -> None:
        assert isinstance(make_worker, EvaluatorFactory)
        settings = make_worker.settings
        assert settings.place is not None
        elsewhere = replace(settings.place, folder=Path("/proc/no/study"))
        hidden = EvaluatorFactory(
            replace(settings, data_file=Path("/proc/no") / settings.data_file.name, place=elsewhere)
        )
        machines = [self.machine(hidden, folder), self.machine(hidden, folder)]
        tasks = 0
        try:
            while isinstance(task := source.next_task(), Task):
                payload = {**task.payload, "folder": "/proc/no/study/trials/00000"}
                source.on_started(task)
                tasks += 1
                if tasks == 6:  # after the trainings to the first rung and before the last is recorded
                    machines[1].run(payload)
                    machines[1].close()
                    machines[1] = self.machine(hidden, folder)
                    assert source.on_lost(task, Loss("node", "node 10.0.0.2 was lost"))
                source.on_ended(task, machines[tasks % 2].run(payload))
                source.tick()
            assert task is FINISHED
        finally:
            for machine in machines:
                machine.close()

    def machine(self, make_worker: WorkerFactory, folder: Path | None) -> Machine:
        self.count += 1
        served = folder if self.is_served else None
        return Machine(self.work, self.folder / f"machine{self.count}", make_worker, served)

    def call(self, function: Callable[..., Result], *arguments: Any, tick: Callable[[], None] = lambda: None) -> Result:
        return function(*arguments, "cpu")


class Here(Isolated):
    """Runs the tasks in this process, which sees the folder."""

    def run(self, make_worker: WorkerFactory, source: TaskSource, folder: Path | None = None) -> None:
        worker = make_worker(WorkerSite("cpu"))
        while isinstance(task := source.next_task(), Task):
            source.on_started(task)
            source.on_ended(task, worker.run(task.payload))


STUDY = """\
trials: 6
data: {source: digits, limit: 300}
space:
  stem: {patch: [2, 4]}
  stages: [{mixer: {conv: {k: [3, 5]}, pool: null}, depth: [1, 2], width: [8, 16]}]
train: {epochs: 4}
objectives: [accuracy, macs]
scheduler: {name: halving, reduction: 2}
"""


def search(folder: Path, executor: Executor, *overrides: str) -> StoredStudy:
    (folder / "study.yaml").write_text(STUDY)
    config = StudyConfig.from_file(folder / "study.yaml", *overrides)

    @contextmanager
    def opened() -> Iterator[Executor]:
        yield executor

    return run_search(config, folder / "study", open_with=opened).study


def results(study: StoredStudy) -> list[tuple[Any, ...]]:
    return [(trial.number, trial.state, trial.values, trial.user_attrs["id"]) for trial in study.trials]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, machine_module: Any) -> list[tuple[Any, ...]]:
    """The results of the search in a folder that the workers see."""
    folder = tmp_path_factory.mktemp("shared")
    return results(search(folder, Here(machine_module.work, folder)))


@pytest.mark.parametrize("kind", ["driver", "url"])
def test_a_search_without_a_shared_folder_equals_one_with_it(
    kind: str, shared: list[tuple[Any, ...]], tmp_path: Path, machine_module: Any
) -> None:
    url = f"file://{tmp_path}/elsewhere"
    overrides = [f"files={url}"] if kind == "url" else []
    study = search(tmp_path, Isolated(machine_module.work, tmp_path, is_served=kind == "driver"), *overrides)
    assert results(study) == shared
    complete = [trial.number for trial in study.trials if trial.values]
    assert complete
    kept = tmp_path / "study" if kind == "driver" else tmp_path / "elsewhere"
    files = sorted(str(file.relative_to(kept)) for file in (kept / "trials").rglob("*") if file.is_file())
    assert files == sorted(f"trials/{number:05d}/{WEIGHTS}" for number in complete)  # and no checkpoint, no draft
    assert not list(kept.rglob(CHECKPOINT))
    for number in complete:  # whose weights they are, is checked
        export(StudySnapshot.of(study.folder), number, tmp_path / f"model{number}")
    segments = [segment["worker"] for trial in study.trials for segment in trial.user_attrs["segments"]]
    assert len(set(segments)) >= 2  # trials went from machine to machine
    for machine in tmp_path.glob("machine*"):
        assert [file.suffix for file in (machine).rglob("images/*") if file.name != "lock"] == [".safetensors"]
