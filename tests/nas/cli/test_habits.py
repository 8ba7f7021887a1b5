"""What users of other tools try first: short options, versions, JSON, options instead of keys, completion."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from nas.cli.completion import complete_folder, complete_preset, complete_study, complete_study_or_folder
from nas.cli.main import COMMANDS
from nas.cli.search import print_end
from nas.driver.display import NoDisplay
from nas.driver.run import SearchEnd
from nas.study.config import StudyConfig
from nas.study.stored import StoredStudy

FROZEN = Path(__file__).parents[2] / "fixtures" / "v0_1"
Run = Callable[..., subprocess.CompletedProcess[str]]


def start(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with `words` as a process."""
    env = os.environ | {"COLUMNS": "100"} | environment
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, env=env)


@pytest.mark.parametrize(
    "words", [(), *((module.__name__.rpartition(".")[2],) for module in COMMANDS), ("bench", "search")]
)
def test_h_is_help(nas: Run, words: tuple[str, ...]) -> None:
    short, long = nas(*words, "-h"), nas(*words, "--help")
    assert (short.returncode, short.stdout) == (0, long.stdout)
    assert "Usage: " in short.stdout
    assert "-h, --help" in short.stdout


def test_versions_are_those_of_the_installed_packages_and_nothing_heavy_is_imported() -> None:
    code = "import sys; sys.argv = ['nas', '--version']; from nas.cli.main import main\ntry: main()\nfinally: print(*sys.modules)"
    done = start("-c", code)
    *lines, modules = done.stdout.splitlines()
    found = dict(line.split(" ") for line in lines)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    for name in ("mixfront", "torch", "optuna", "ray", "timm"):
        assert found[name] == metadata.version(name)
    assert not {"torch", "optuna", "ray", "timm", "pandas", "rich"} & set(modules.split())


def test_the_package_is_the_command() -> None:
    done = start("-m", "nas", "front", str(FROZEN / "study"), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == json.loads((FROZEN / "front.json").read_text())


def test_a_trial_as_json_is_its_row(nas: Run) -> None:
    record = json.loads(nas("show", FROZEN / "study", "best", "--json").stdout)
    front = {item["trial"]: item for item in json.loads((FROZEN / "front.json").read_text())}
    assert (
        record.items()
        >= {key: value for key, value in front[record["trial"]].items() if key != "test_accuracy"}.items()
    )
    assert (record["state"], record["reason"], record["on_front"], record["feasible"]) == ("complete", None, True, True)
    assert record["curve"][-1]["val_accuracy"] == record["accuracy"]
    assert record["started"] < record["finished"]
    running = json.loads(nas("show", FROZEN / "study", "1", "--json").stdout)
    assert (running["state"], running["finished"], running["accuracy"]) == ("interrupted", None, None)


def test_trials_is_an_option_too(nas: Run) -> None:
    done = nas("search", "digits", "--trials", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nas: error: trials=0: input should be greater than or equal to 1, found 0\n"


def test_an_unknown_command_is_answered_with_the_closest(nas: Run) -> None:
    done = nas("serach")
    assert done.returncode == 2
    assert "No such command 'serach'" in done.stderr
    assert "search" in done.stderr.partition("No such command")[2].removeprefix(" 'serach'")


def test_an_executor_that_does_not_exist_is_named_with_its_line(nas: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("space: {stages: [{mixer: pool, width: 8}]}\nresources:\n  executor: locall\n")
    done = nas("search", "mine.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nas: error: mine.yaml:3:3: resources.executor: no such executor (known: ")
    assert "found 'locall'; did you mean local?" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_misspelt_preset_is_answered_with_the_closest_before_the_list(nas: Run) -> None:
    done = nas("init", "mine.yaml", "--preset", "poolformer_s13")
    assert "did you mean poolformer_s12" in done.stderr


def test_a_leading_tilde_is_the_home_also_after_an_equals_sign(
    nas: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(FROZEN / "study", tmp_path / "study")
    assert nas("report", "~/study", "--out=~/page.html").returncode == 0
    assert (tmp_path / "page.html").exists()
    assert nas("report", "~/study", "--out=~nobody_of_this_name.html").returncode == 0
    assert (tmp_path / "~nobody_of_this_name.html").exists()


def test_completion_of_folders_studies_and_presets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("runs/a #1", "runs/b"):
        (tmp_path / name).mkdir(parents=True)
        shutil.copy(FROZEN / "study" / "study.db", tmp_path / name)
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    (tmp_path / "mine.yaml").touch()
    assert complete_folder("") == ["runs/"]
    assert complete_folder("runs/") == ["runs/a #1", "runs/b"]
    assert complete_folder("runs/b") == ["runs/b"]
    assert complete_folder("./ru") == ["./runs/"]
    assert complete_folder("runs/../ru") == ["runs/../runs/"]
    assert complete_folder(f"{tmp_path}/runs/b") == [f"{tmp_path}/runs/b"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert complete_folder("~/ru") == ["~/runs/"]
    assert complete_study("./m") == ["./mine.yaml"]
    assert complete_folder("none/") == []
    assert complete_study("d") == ["digits"]
    assert complete_study("m") == ["mine.yaml"]
    assert "runs/" in complete_study_or_folder("ru")
    assert complete_preset("poolformer_s1") == ["poolformer_s12"]
    assert sorted(path.name for path in (tmp_path / "runs" / "b").iterdir()) == ["study.db"]


def test_the_shell_completes_the_trials_of_the_study() -> None:
    words = f"nas show {FROZEN / 'study'} "
    code = "import sys; sys.argv = ['nas']; from nas.cli.main import main; main()"
    done = start("-c", code, _NAS_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD="3")
    assert done.stdout.split() == ["best", *map(str, range(8))]


def test_the_folder_of_a_study_names_the_study(nas: Run, tmp_path: Path) -> None:
    shutil.copytree(FROZEN / "study", tmp_path / "mine")
    done = nas("search", "mine", "train.epochs=31")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nas: error: train.epochs=31: must stay 30 as at the start of the study, found 31")


def test_a_search_without_a_complete_trial_proposes_no_export(
    digits_study: Path, empty_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = StudyConfig.model_validate({"name": "digits", "space": {"stages": [{"mixer": "pool"}]}})
    for folder, has_best in ((digits_study, True), (empty_study, False)):
        study = StoredStudy.read(folder)
        print_end(config, folder, SearchEnd(study, was_complete=False), NoDisplay())
        printed = capsys.readouterr().out
        assert f"report  nas report {folder}\n" in printed
        assert (f"model   nas export {folder} best --out FOLDER\n" in printed) == has_best


def test_a_current_folder_that_was_removed_is_named() -> None:
    """`torch` aborts the process there, and relative paths are nowhere."""
    code = """
import os, sys, tempfile
from nas.cli.main import main
os.chdir(folder := tempfile.mkdtemp())
os.rmdir(folder)
sys.argv = ["nas", "search", "digits"]
main()
"""
    done = start("-c", code)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nas: error: the current folder: No such file or directory; change to one that exists\n"


def test_a_path_that_the_locale_cannot_name_says_what_to_set() -> None:
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = start("-c", "import nas.cli.main as nas; nas.main()", "status", "bücher", **locale)
    assert done.returncode == 2
    assert done.stderr.endswith(": a path must be text in UTF-8; the locale has the encoding ascii, set PYTHONUTF8=1\n")
