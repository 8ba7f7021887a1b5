"""Names that mean something in another language (shell, YAML, SQL, URLs, HTML, rich's markup) are only names here."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st
from rich.console import Console

from nas.analysis.results import Results
from nas.cli.app import split_words
from nas.formatting import printable
from nas.report import write
from nas.study.config import StudyConfig
from nas.study.database.storage import create_study, open_study, read_study
from nas.study.layout import default_folder
from nas.study.templates import write_preset_study, write_starter_study
from nas.terminal.progress import TerminalDisplay
from nas.terminal.tables import front_table, status_panel, trial_panel

FROZEN = Path(__file__).parents[2] / "fixtures" / "v0_1"
NAMES = (
    "a [/b]", "exp[v2]", "[red]", ":smile:", "a {b} ?c %20 #1 [x]", "{", "}", "{0}", "%s", "50%", "?mode=memory", "a#b",
    "a&b=c", "<b>", "</script><script>alert(1)</script>", "$x$", "it's", 'a "b"', "a\\", "\\n", "~x", "-x", "--help", " a ",
    "null", "2024", "*", "**", "[!a]", ":memory:", "file:x", "C:\\x", "'; DROP TABLE studies; --", "ünï 🙂", "\u3000x",
)  # fmt: skip
Run = Callable[..., subprocess.CompletedProcess[str]]
file_names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=60).filter(
    lambda text: text not in (".", "..")
)


@example(name=":memory:")
@example(name="x?mode=ro#y")
@given(name=file_names)
@settings(max_examples=10, deadline=None)
def test_a_study_lives_in_a_folder_of_any_name(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    parent = tmp_path_factory.mktemp("any")
    folder = parent / name
    folder.mkdir()
    create_study(folder, name, ["maximize"], {"name": name}, [name])
    assert read_study(folder).user_attrs == open_study(folder).user_attrs == {"name": name}
    assert read_study(folder).study_name == name
    assert [path.name for path in parent.iterdir()] == [name]
    assert {path.name for path in folder.iterdir()} <= {"study.db", "study.db-wal", "study.db-shm"}


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_print_names_as_they_are(
    nas: Run, tmp_path: Path, study_writer: Any, stored_trial: Any, name: str
) -> None:
    folder = tmp_path / "x" / name
    folder.parent.mkdir(parents=True)
    study_writer(tmp_path / "plain", [stored_trial([0.5, 10.0, 1.0])], name=name).rename(folder)
    for words in (("status",), ("front",), ("show",)):
        done = nas(*words, folder, *(["best"] if words == ("show",) else []))
        assert (done.returncode, done.stderr) == (0, "")
        assert printable(name).strip() in done.stdout
    assert json.loads(nas("status", folder, "--json").stdout)["name"] == name


@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(str.strip))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tables_of_any_name(digits_study: Path, name: str) -> None:
    results = Results.load(digits_study)
    results = replace(results, name=name)
    for renderable in (front_table(results), status_panel(results), trial_panel(results, results.trial(4))):
        stream = io.StringIO()
        Console(file=stream, width=400).print(renderable)
        assert printable(name).strip() in stream.getvalue()


def test_names_of_classes_and_images_may_be_no_text(tmp_path: Path, study_writer: Any, report_document: Any) -> None:
    names = ["caf\udce9", "</script>", "[/b]", "a\nb", "<!--", "\u2028"]
    study_writer(tmp_path, dataset={"name": "\udce9", "num_classes": 6, "class_names": names, "image_size": [8, 8]})
    text = write(tmp_path, tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("</script>") == 3
    assert report_document(text)["meta"]["dataset"]["class_names"] == names


@pytest.mark.parametrize("text", ["[/b] :smile: %s {x}", "caf\udce9.png", "a\nb\x1b[31m"])
def test_warnings_are_one_line_of_plain_text(text: str) -> None:
    stream = io.StringIO()
    TerminalDisplay(Console(file=stream, width=20)).warn(text)
    assert stream.getvalue() == f"nas: warning: {printable(text)}\n"
    stream.getvalue().encode()


@pytest.mark.parametrize("folder", ["a [/b] #1?", "a\nb", "caf\udce9", "x" * 300, "-x", "it's"])
def test_errors_are_one_line_whatever_the_folder(nas: Run, folder: str) -> None:
    for words in (
        ("status", "--", folder),
        ("report", "--", folder),
        ("export", "--out", "model", "--", folder, "best"),
    ):
        done = nas(*words)
        assert done.returncode in (1, 2)
        assert done.stderr.startswith("nas: error: ")
        assert done.stderr.count("\n") == 1


def test_the_hint_of_a_missing_study_may_be_copied(nas: Run) -> None:
    line = nas("status", "my photos #1").stderr
    assert shlex.split(re.findall("`(.*)`", line)[0]) == ["nas", "search", "--out", "my photos #1"]


@pytest.mark.parametrize("name", ["a\nb: 1", "a #1", "{x}", "$data", "it's", "-x", "%s", "ünï"])
def test_a_study_file_of_any_name_is_valid_and_its_command_may_be_copied(tmp_path: Path, name: str) -> None:
    for write_study in (
        write_starter_study,
        lambda file, data, size: write_preset_study(file, "poolformer_s12", data, size),
    ):
        file = tmp_path / f"{name}.yaml"
        write_study(file, Path(name), 32)
        config = StudyConfig.from_file(file)
        assert (config.name, config.data.path) == (printable(name), Path(name))
        command = re.findall("# Command: (.*)", file.read_text(encoding="utf-8"))[0]
        if "\n" not in name:
            assert shlex.split(command)[2:] == [str(file), "--out", f"runs/{name}"]
        file.unlink()


def test_a_path_with_an_equals_sign_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lr=1.yaml").touch()
    words = ["runs/lr=0.1/study.yaml", "lr=1.yaml", "data.path=a/b=c", "train.lr=0.1", "/x=y"]
    assert split_words(words) == (["runs/lr=0.1/study.yaml", "lr=1.yaml", "/x=y"], ["data.path=a/b=c", "train.lr=0.1"])


@pytest.mark.parametrize(
    "words",
    [
        ("search", "digits", "limits={macs:", "2e6}", "trials=1"),
        ("search", "digits", "objectives=[accuracy,", "macs,", "params]"),
        ("data", "digits", "data={image_size:", "8}"),
        ("validate", "timm:resnet18", "digits", "data={image_size:", "8}"),
        ("fidelity", "digits", "space.stages=[{mixer:", "{conv:", "{k:", "3}}}]"),
        ("retrain", "best", "--study", "x", "image_size_schedule={start:", "0.6}"),
    ],
)
def test_an_override_that_the_shell_has_cut_is_shown_in_quotes(nas: Run, words: tuple[str, ...]) -> None:
    done = nas(*words)
    first = next(index for index, word in enumerate(words) if word.endswith((":", ",")))
    last = next(index for index in range(first, len(words)) if words[index].endswith(("}", "]")))
    whole = shlex.quote(" ".join(words[first : last + 1]))
    error = f"nas: error: {words[first]}: an override with spaces needs quotes: {whole}\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", error)


def test_brackets_of_a_text_are_no_cut_override() -> None:
    words = ["data.path=[photos", "study.yaml", "name=a]", "limits={macs: 2e6}"]
    assert split_words(words) == (["study.yaml"], [words[0], *words[2:]])


@pytest.mark.parametrize("name", ["..", "../x", "/x", "a/../../x", "."])
def test_the_name_of_a_study_does_not_lead_out_of_the_folder_of_runs(nas: Run, tmp_path: Path, name: str) -> None:
    done = nas("search", "digits", f"name={name}", "trials=1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nas: error: name: must not lead out of the folder runs without --out")
    assert list(tmp_path.iterdir()) == []
    assert default_folder("a/b") == Path("runs/a/b")


def test_a_study_in_a_folder_of_a_hostile_name_from_search_to_export(
    nas: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    umask = os.umask(0o027)  # of the worker, too
    try:
        check_search_to_export(nas, tmp_path, monkeypatch)
    finally:
        os.umask(umask)


def check_search_to_export(nas: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "a {b} ?c %20 #1 [x]"
    photos = home / "photos #2 {y} [z]"
    home.mkdir()
    write_photos(photos)
    monkeypatch.chdir(home)
    out = home / "it's ?{x} [/b] :smile:"
    few = (
        "trials=2",
        "train.epochs=1",
        "data.image_size=16",
        "throughput.operators_s=0",
        "space.stem.patch=4",
        "space.num_stages=1",
    )
    words = ("search", "folder", *few, "objectives=[accuracy, macs]", f"data.path={photos.name}", "name=a [/b] #1 :x:")
    workers = ("resources.executor=local", "resources.workers=1")
    done = nas(*words, *workers, "--out", out.name)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in home.iterdir()} == {photos.name, out.name}
    commands = dict(re.findall(r"^(report|model) +nas (.*)$", done.stdout, re.MULTILINE))
    assert nas(*shlex.split(commands["report"])).returncode == 0
    export = nas(*shlex.split(commands["model"].replace("FOLDER", shlex.quote("m?#{}"))))
    assert (export.returncode, export.stderr) == (0, "")
    written = [path for folder in (home / out.name, home / "m?#{}") for path in (folder, *folder.rglob("*"))]
    assert (home / "m?#{}" / "model.safetensors") in written
    for path in written:
        assert stat.S_IMODE(path.stat().st_mode) == (0o750 if path.is_dir() else 0o640), path
    load = export.stdout.partition("load:  ")[2]
    code = f"{load.rstrip()}.num_classes".replace("timm; ", "timm; print(") + ")"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=True)
    assert loaded.stdout == "2\n"
    shutil.rmtree(home)


def write_photos(folder: Path) -> None:
    """Ten images of each of two classes, whose names are hostile, too."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in ("</script>[/b]", "$x$ {0} %s"):
        (folder / name.replace("/", "_")).mkdir(parents=True)
        for index in range(10):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name.replace("/", "_") / f"[red]{index} #?.png")
