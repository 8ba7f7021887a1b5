"""A device to measure on that no worker has ends a search at its start, unless others may come."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.driver.run import run_search
from nas.driver.start import measuring_workers
from nas.driver.start.home import StudyHome
from nas.driver.start.measuring_workers import check_measuring_worker
from nas.errors import ConfigError
from nas.evaluation.settings import MeasuringSettings
from nas.execution.simulator import Simulator
from nas.study.config import StudyConfig
from nas.study.database.storage_url import StoragePlace, StorageUrl
from trainers.device import device_name

STUDY = """\
data: {source: digits, limit: 60}
space: {stages: [{mixer: {pool: null, shift: null}, depth: 1, width: [8, 16]}]}
train: {epochs: 1}
trials: 2
objectives: [accuracy, images_per_s]
"""


class Machine(Simulator):
    """A machine whose workers say that they are on `label`."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label
        self.allocation = replace(self.allocation, gpus=float(label.startswith("cuda")))

    def call(self, function: Callable[..., Any], *arguments: Any, tick: Callable[[], None] = lambda: None) -> Any:
        """The label."""
        tick()
        return self.label


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.setattr(measuring_workers, "gpu_labels", lambda: ["cuda NVIDIA H100", "cuda NVIDIA A10"])

    def run(kind: str, label: str, *overrides: str, place: StoragePlace | None = None) -> None:
        config = StudyConfig.from_file(tmp_path / "study.yaml", f"throughput.device={kind}", *overrides)
        machine = Machine(label)
        check_measuring_worker(
            config, StudyHome(tmp_path, place), MeasuringSettings(("images_per_s",), 16), machine, lambda: None
        )

    return run


@pytest.mark.parametrize(
    ("kind", "label"),
    [("cpu", "cpu AMD EPYC"), ("epyc", "cpu AMD EPYC"), ("gpu", "cuda NVIDIA H100"), ("h100", "cuda NVIDIA H100"),
     ("A10", "cuda NVIDIA H100")],
)  # fmt: skip
def test_a_device_of_this_machine_may_be_named(check: Callable[..., None], kind: str, label: str) -> None:
    check(kind, label)


@pytest.mark.parametrize(
    ("kind", "label", "found"),
    [("gpu", "cpu AMD EPYC", "'cpu'"), ("mps", "cpu AMD EPYC", "'cpu AMD EPYC'"), ("cpu", "cuda NVIDIA H100", "'cuda'"),
     ("B200", "cuda NVIDIA H100", "'cuda NVIDIA H100' and 'cuda NVIDIA A10'")],
)  # fmt: skip
def test_one_that_no_worker_has_is_an_error(check: Callable[..., None], kind: str, label: str, found: str) -> None:
    named = "cuda" if kind == "gpu" else kind
    with pytest.raises(ConfigError) as error:
        check(kind, label)
    rule = f"throughput.device: no worker can measure on '{named}', the devices here are {found}; name a part of one"
    assert rule.removeprefix("throughput.device: ") in str(error.value)
    assert str(error.value).startswith(f"throughput.device={kind}: ")
    assert error.value.exit_code == 2


def test_of_a_cluster_or_several_drivers_others_may_come(check: Callable[..., None]) -> None:
    check("H100", "cpu AMD EPYC", "resources.address=auto")
    check("H100", "cpu AMD EPYC", place=StoragePlace(StorageUrl("postgresql://host/studies"), "name"))


def test_a_search_trains_nothing_before_the_error(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    config = StudyConfig.from_file(tmp_path / "study.yaml", "throughput.device=tpu", "throughput.operators_s=0")
    with pytest.raises(ConfigError) as error:
        run_search(config, tmp_path / "out", open_with=lambda: nullcontext(Simulator()))
    assert f"on 'tpu', the devices here are 'cpu {device_name(torch.device('cpu'))}'" in str(error.value)
    assert not (tmp_path / "out" / "study.db").exists()


def test_without_a_measured_objective_the_key_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY.replace("images_per_s", "macs"))
    config = StudyConfig.from_file(tmp_path / "study.yaml", "throughput.device=H100", "trials=1")
    study = run_search(config, tmp_path / "out", open_with=lambda: nullcontext(Simulator())).study
    assert len(study.trials) == 1
