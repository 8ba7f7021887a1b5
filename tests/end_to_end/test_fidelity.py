"""`nas fidelity` as a user runs it: on a study's file and on its folder, interrupted, killed, used wrongly."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

EXECUTOR = "local"
WORDS = ("train.epochs=1", "data.limit=200")
SMALL = ("--sample", 3, "--seeds", 2, "--multiple", 2)
FEW = ("space.num_stages=1", "space.stages.0.mixer=pool", "space.stages.0.channel_mixer=mlp")  # 8 architectures
# Proxy, large, half and a quarter of the images, half the pixels, scores; a single epoch has no half.
JOBS = 3 * 2 * 6


def trainings(folder: Path) -> list[str]:
    """The lines of the results that are whole."""
    file = folder / "trainings.jsonl"
    return [line for line in file.read_text().splitlines(keepends=True) if line[-1] == "\n"] if file.exists() else []


def test_a_run_prints_a_table_writes_a_page_and_is_not_done_twice(cli: Any) -> None:
    command = ("fidelity", "small.yaml", *WORDS, "resources.workers=1", *SMALL, "--out", "judged")
    first = cli.run(*command)
    assert (first.returncode, first.stderr) == (0, "")
    for name in ("2 epochs, one seed", "proxy: 1 epoch", "1/2 of the images", "NASWOT", "SynFlow", "ZiCo", "MACs"):
        assert f"\n {name}" in first.stdout
    assert first.stdout.endswith("page: judged/fidelity.html\n")
    folder = cli.home / "judged"
    lines = trainings(folder)
    assert len({json.loads(line)["key"] for line in lines}) == len(lines) == JOBS
    assert not (folder / "checkpoints").exists()
    again = cli.read(*command, "--json")
    assert (again.returncode, again.stderr) == (0, "")
    assert trainings(folder) == lines
    record = json.loads(again.stdout)
    assert record["page"] == "judged/fidelity.html"
    assert len(record["points"]) == 3
    assert all(len(point["proxy"]) == len(point["large"]) == 2 for point in record["points"])
    macs = [point["macs"] for point in record["points"]]
    assert macs == sorted(macs)
    wider = cli.read(*command, "--seeds", 3, "--json")  # the last option counts
    assert wider.returncode == 0, wider.stderr
    assert trainings(folder)[:JOBS] == lines
    assert len(trainings(folder)) == JOBS * 3 // 2


def test_interrupted_and_killed_runs_go_on_and_train_nothing_twice(cli: Any) -> None:
    command = ("fidelity", "small.yaml", "train.epochs=4", "data.limit=900", *SMALL, "--out", "torn")
    folder = cli.home / "torn"
    driver = cli.start(*command)
    cli.wait_until(lambda: bool(trainings(folder)), driver)
    driver.send_signal(signal.SIGSTOP)  # it is not to end meanwhile
    busy = cli.read(*command)
    driver.send_signal(signal.SIGCONT)
    assert busy.returncode == 2
    assert "torn: it is in use by another process" in busy.stderr
    errors = cli.stop(driver, signal.SIGINT)
    assert driver.returncode == 130
    assert errors == "interrupted; finished trainings are kept: the same command continues torn\n"
    after_interrupt = trainings(folder)

    driver = cli.start(*command)
    cli.wait_until(lambda: len(trainings(folder)) >= len(after_interrupt) + 2, driver)
    driver.kill()  # the driver alone: its processes end by themselves
    driver.communicate()
    cli.wait_until(lambda: not alive(driver.pid))
    after_kill = trainings(folder)
    assert after_kill[: len(after_interrupt)] == after_interrupt

    last = cli.read(*command)
    assert (last.returncode, last.stderr) == (0, "")
    lines = trainings(folder)
    assert lines[: len(after_kill)] == after_kill
    assert len({json.loads(line)["key"] for line in lines}) == len(lines)
    assert len(lines) == JOBS + 3 * 2 * 2  # 4 epochs have a half and a quarter
    assert not [line for line in lines if "failure" in json.loads(line)]


def alive(group: int) -> bool:
    """True if a process of the group lives."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_finished_study_is_judged_in_its_folder_on_its_images(cli: Any) -> None:
    assert cli.read("search", "small.yaml", "--out", "done", *WORDS, "trials=1", "resources.workers=1").returncode == 0
    run = cli.read("fidelity", "done", "resources.workers=1", "--sample", 3, "--seeds", 1, "--multiple", 3, "--json")
    assert run.returncode == 0, run.stderr
    record = json.loads(run.stdout)
    assert record["page"] == "done/fidelity/fidelity.html"
    assert [record["noise"][name]["epochs"] for name in ("proxy", "large")] == [1, 3]
    assert not (cli.home / "done" / "fidelity" / "data").exists()
    edited = cli.home / "done" / "study.yaml"
    edited.write_text(edited.read_text().replace("epochs: 1", "epochs: 2"))
    run = cli.read("fidelity", "done")
    assert run.returncode == 2
    assert "train.epochs: must stay 1 as at the start of the study, found 2" in run.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing.yaml"], "missing.yaml: a study is a YAML file: no such file"),
        (["."], "must be a YAML file, or the folder of a study, found the folder '.'"),
        (
            ["small.yaml", "other.yaml"],
            "fidelity: needs one study, its file or its folder, found small.yaml, other.yaml",
        ),
        (["train.epochs=2"], "fidelity: needs one study, its file or its folder, found none"),
        (["small.yaml", "--sample", "2"], "--sample: must be at least 3 architectures to be ranked, found 2"),
        (["small.yaml", "--seeds", "0"], "--seeds: must be at least 1, found 0"),
        (["small.yaml", "--multiple", "1"], "--multiple: must be above 1, and at most 10,000, found 1"),
        (["small.yaml", "train.epochs=no"], "train.epochs"),
        (
            ["small.yaml", "resources.executor=ray_tune", "resources.address=127.0.0.1:1"],
            "resources.address: no Ray cluster answers there",
        ),
        (["small.yaml", "--sample", "9", *FEW], "--sample 9: only 8 architectures were found in the space"),
        (["small.yaml", "--out", "small.yaml"], "small.yaml: must be a folder that can be written to"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(cli: Any, words: list[str], message: str) -> None:
    run = cli.read("fidelity", *words)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("nas: error: ")
    assert message in run.stderr
    assert run.stderr.count("\n") == 1
