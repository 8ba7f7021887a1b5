"""The public API of `nas`: its names, what importing them costs, and a search, its results and an export from Python."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import pytest
import timm
import torch

import nas
from nas import Study, StudyConfig, export, search
from nas.cli import main as cli
from nas.errors import ConfigError, UsageError
from nas.study.segments import segments_of
from search_space import Architecture, build
from trainers.data.dataset import load

NAMES = {"Objective", "ParetoSampler", "Results", "Study", "StudyConfig", "__version__", "export", "retrain", "search"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, small_study_writer: Callable[..., Path]) -> Path:
    return small_study_writer(tmp_path_factory.mktemp("api"), trials=2)


@pytest.fixture(scope="module")
def study(file: Path) -> Study:
    """A study that was searched from Python."""
    created = Study.open_or_create(file.parent / "run", StudyConfig.from_file(file))
    assert created.results().counts == {"waiting": 1}  # the cheapest architecture comes first
    assert search(created).counts == {"complete": 2}
    return created


def output_of(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_all_lists_every_public_name() -> None:
    assert set(nas.__all__) == NAMES
    assert len(nas.__all__) == len(NAMES)
    assert set(dir(nas)) >= NAMES
    assert output_of("from nas import *; print(sorted(n for n in globals() if not n.startswith('__')))") == repr(
        sorted(NAMES - {"__version__"})
    )


@pytest.mark.parametrize("name", sorted(NAMES - {"__version__"}))
def test_every_name_is_there_and_documented(name: str) -> None:
    assert getattr(nas, name).__doc__


def test_the_version_is_that_of_the_distribution() -> None:
    assert nas.__version__ == version("mixfront")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'nas' has no attribute 'serach'"):
        _ = nas.serach


def test_importing_the_package_imports_no_heavy_package() -> None:
    heavy = {"torch", "ray", "optuna", "pandas", "scipy", "timm", "plotly", "pydantic"}
    assert output_of(f"import sys, nas; print({heavy} & set(sys.modules))") == "set()"
    reading = {"torch", "ray", "timm"}
    code = f"import sys; from nas import Results, StudyConfig; print({reading} & set(sys.modules))"
    assert output_of(code) == "set()"


def test_python_and_the_commands_read_the_same(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    results = Study.open(str(study.folder)).results()
    assert run_command(["nas", "front", str(study.folder), "--json"], capsys) == results.front_records()
    assert list(results.front["trial"]) == [record["trial"] for record in results.front_records()]
    assert results.best is not None


def run_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert ended.value.code == 0
    return json.loads(capsys.readouterr().out)


def test_a_winner_is_a_timm_model(study: Study, tmp_path: Path) -> None:
    number = export(study, "best", str(tmp_path / "model"))
    best = study.results().trial("best")
    assert number == best["trial"]
    model = timm.create_model(f"local-dir:{tmp_path / 'model'}", pretrained=True).eval()
    images = load(study.images()).test.images[:4].float()
    with torch.no_grad():
        assert model(images).shape == (4, 10)
    built = build(Architecture.from_dict(best["architecture"]))
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in built.parameters())


def test_a_report_has_test_accuracies(study: Study, tmp_path: Path) -> None:
    file = study.report(tmp_path / "report.html")
    assert file == tmp_path / "report.html"
    assert file.read_text().startswith("<!DOCTYPE html>")
    assert study.results().front["test_accuracy"].notna().all()


def test_a_search_records_what_it_aims_at_and_who_trained(study: Study) -> None:
    stored = Study.open(study.folder)
    target = stored.attributes["target"]
    assert {key: target[key] for key in ("trials", "time_budget_s", "workers")} == {
        "trials": 2,
        "time_budget_s": None,
        "workers": 1,
    }
    assert datetime.fromisoformat(target["since"]).tzinfo is not None
    for trial in stored.trials:
        (segment,) = segments_of(trial.user_attrs)
        assert segment.worker.startswith(f"{socket.gethostname()}/cpu/")
        assert segment.outcome == "completed"
        assert segment.end is not None
        assert 0 < segment.train_s <= segment.end - segment.start
        assert segment.train_s == pytest.approx(trial.user_attrs["train_s"], abs=2e-3)
        assert trial.datetime_start.timestamp() <= segment.start + 1
    assert not (study.folder / "workers").exists()


def test_a_search_goes_on_with_more_trials(study: Study, file: Path) -> None:
    more = Study.open_or_create(study.folder, StudyConfig.from_file(file, "trials=3"))
    assert search(more).counts["complete"] == 3
    before = study.results().trials["finished"].tolist()
    assert search(Study.open(study.folder)).trials["finished"].tolist() == before  # the folder's configuration: done


def test_wrong_use_is_refused(study: Study, file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.epochs"):
        Study.open_or_create(study.folder, StudyConfig.from_file(file, "train.epochs=3"))
    with pytest.raises(UsageError, match=r"holds no study"):
        Study.open(tmp_path)
    with pytest.raises(UsageError, match=r"trial 99: .* has no such trial"):
        export(study, 99, tmp_path / "model")
    with pytest.raises(ConfigError, match=r"limits\.macs=1: no architecture of the space is that cheap"):
        Study.open_or_create(tmp_path / "new", StudyConfig.from_file(file, "limits.macs=1"))
    assert not (tmp_path / "new" / "study.db").exists()


class EventList(list[object]):
    """An observer that keeps every event."""

    def notify(self, event: object) -> None:
        """Keep it."""
        self.append(event)


def test_events_reach_observers(file: Path, tmp_path: Path) -> None:
    events = EventList()
    search(Study.open_or_create(tmp_path, StudyConfig.from_file(file, "trials=1")), observers=[events])
    assert [type(event).__name__ for event in events] == ["SearchStarted", "TrialStarted", "TrialRecorded"]


def test_a_script_without_a_guarded_main_is_told_so(file: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from nas import Study, StudyConfig, search\n"
        f"search(Study.open_or_create({str(tmp_path / 'run')!r}, StudyConfig.from_file({str(file)!r})))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the processes ended before they could start; a script has to call `search` below" in (
        " ".join(done.stderr.split())
    )
    assert Study.open(tmp_path / "run").results().counts == {"waiting": 1}  # nothing has failed
