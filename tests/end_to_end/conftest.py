"""The real processes: `nas` started as a user starts it, in a folder of its own that holds `small.yaml`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from nas.cli.main import main
from nas.study.database.storage import open_study

STUDY = """\
trials: 6
data: {source: digits, limit: 300}
space:
  layout: [isotropic, pyramid]
  num_stages: [1, 2]
  stem: {patch: [2, 4]}
  stages:
    - &s
      mixer: {conv: {k: [3, 5]}, global_filter: null, pool: null}
      channel_mixer: {mlp: {expansion: [1, 2], groups: full}}
      depth: [1, 2]
      width: [8, 16]
    - *s
train: {epochs: 3}
throughput: {min_time_s: 0.02, operators_s: 0}
"""


@dataclass(frozen=True)
class Cli:
    """The command `nas` in the folder `home`."""

    home: Path
    patience_s: float = 600.0  # with anything: machines are shared

    def read(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run a command in this process (its workers are others): the start of another takes longer than most of them."""
        out, errors = StringIO(), StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.chdir(self.home),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(errors),
        ):
            patch.setattr(sys, "argv", ["nas", *map(str, words)])
            with pytest.raises(SystemExit) as ended:
                main()
        assert isinstance(ended.value.code, int)
        return subprocess.CompletedProcess(words, ended.value.code, out.getvalue(), errors.getvalue())

    def run(self, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run to the end, with more in its `environment`."""
        command = [sys.executable, "-m", "nas.cli", *map(str, words)]
        env = {**os.environ, **environment}
        return subprocess.run(command, cwd=self.home, env=env, capture_output=True, text=True, timeout=self.patience_s)

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Start, as the leader of a process group of its own."""
        command = [sys.executable, "-m", "nas.cli", *map(str, words)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.home, stdout=pipe, stderr=pipe, text=True, start_new_session=True)

    def trials(self, study: str) -> list[optuna.trial.FrozenTrial]:
        """All trials of the study in the folder `study`."""
        folder = self.home / study
        return open_study(folder).get_trials() if (folder / "study.db").exists() else []

    def complete(self, study: str) -> list[optuna.trial.FrozenTrial]:
        """Its complete trials."""
        return [trial for trial in self.trials(study) if trial.state == TrialState.COMPLETE]

    def stop(self, process: subprocess.Popen[str], number: signal.Signals) -> str:
        """What `process` has told on standard error when a signal has ended it."""
        process.send_signal(number)
        return process.communicate(timeout=self.patience_s)[1]

    def wait_for(self, count: int, study: str, process: subprocess.Popen[str]) -> None:
        """Until `count` trials are complete, while `process` works on them."""
        self.wait_until(lambda: len(self.complete(study)) >= count, process)

    def wait_until(self, reached: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
        """Until `reached`, while `process` works on it."""
        end = time.monotonic() + self.patience_s
        begin = time.monotonic()
        while not reached():
            asked = time.monotonic()
            assert process is None or process.poll() is None, process.communicate()
            assert asked < end, "it took too long"
            time.sleep(max(0.1, 5 * (asked - begin)))  # to ask may cost a tenth of a second, which `process` needs
            begin = time.monotonic()


@pytest.fixture(scope="module")
def cli(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """`nas` in a new folder. The studies of a module run on its `EXECUTOR`, by default Ray Tune, which takes seconds to start."""
    home = tmp_path_factory.mktemp("home")
    executor = getattr(request.module, "EXECUTOR", "ray_tune")
    (home / "small.yaml").write_text(f"{STUDY}resources: {{executor: {executor}}}\n")
    return Cli(home)
