"""Searches on a GPU: shared by several workers, killed and continued, their winners retrained and exported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest
import torch

from nas.study.retrained import retrained_runs
from nas.study.segments import segments_of

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]
MEASURED = "objectives=[accuracy, macs, images_per_s]"


@pytest.fixture(scope="module", params=["local", "ray_tune"])
def searched(request: pytest.FixtureRequest, cli: Any) -> str:
    """The folder of a search by two workers that share a GPU."""
    name = str(request.param)
    options = (f"resources.executor={name}", "resources.gpus_per_trial=0.5", "resources.workers=2", MEASURED)
    run = cli.run("search", "small.yaml", "--out", name, "throughput.operators_s=2", *options)
    assert run.returncode == 0, run.stderr
    return name


def test_all_trials_are_trained_and_measured_on_the_gpu(searched: str, cli: Any) -> None:
    trials = cli.complete(searched)
    assert len(trials) == 6
    gpu = torch.cuda.get_device_name()
    assert {trial.user_attrs["device"] for trial in trials} == {gpu}
    assert {trial.user_attrs["throughput"]["batch_size"] for trial in trials} == {128}
    assert all(trial.values[2] > 0 for trial in trials)
    assert {segment.device for trial in trials for segment in segments_of(trial.user_attrs)} == {"cuda:0"}


@pytest.mark.parametrize(
    "words",
    [
        ("status", "STUDY", "--json"),
        ("report", "STUDY"),
        ("validate", "best", "STUDY", "--device", "cuda"),
        ("validate", "best", "STUDY", "--device", "cpu"),
        ("diagnose", "best", "--study", "STUDY"),
        ("export", "STUDY", "best", "--out", "STUDY/exported"),
        ("retrain", "best", "--study", "STUDY", "epochs=2"),
        ("retrain", "best", "--study", "STUDY", "epochs=3", "--device", "cuda:0"),
        ("fidelity", "STUDY", "--sample", "4", "--seeds", "1", "--multiple", "2"),
    ],
    ids=" ".join,
)
def test_other_commands_work_on_the_gpu(words: tuple[str, ...], searched: str, cli: Any) -> None:
    run = cli.run(*(word.replace("STUDY", searched) for word in words))
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("executor", ["local", "ray_tune"])
def test_a_killed_search_goes_on(executor: str, cli: Any) -> None:
    options = (f"resources.executor={executor}", "resources.gpus_per_trial=0.5", "train.epochs=40", "trials=6")
    command = ("search", "small.yaml", "--out", f"killed_{executor}", *options)
    driver = cli.start(*command)
    cli.wait_for(2, f"killed_{executor}", driver)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate()
    run = cli.run(*command)
    assert run.returncode == 0, run.stderr
    trials = cli.complete(f"killed_{executor}")
    assert len(trials) == len({trial.user_attrs["id"] for trial in trials}) == 6


def test_halving_by_four_workers_survives_a_kill(cli: Any) -> None:
    options = ("resources.executor=local", "resources.gpus_per_trial=0.25", "scheduler.name=halving", "trials=16")
    command = (
        "search",
        "small.yaml",
        "--out",
        "halved",
        *options,
        "train.epochs=9",
        "throughput.measure=front",
        MEASURED,
    )
    driver = cli.start(*command)
    cli.wait_for(1, "halved", driver)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate()
    before = {trial.number: trial.values[0] for trial in cli.complete("halved")}
    run = cli.run(*command)
    assert run.returncode == 0, run.stderr
    trained = [trial for trial in cli.trials("halved") if not trial.user_attrs.get("refused")]
    complete = {trial.number: trial.values[0] for trial in cli.complete("halved")}
    assert len(trained) == len({trial.user_attrs["id"] for trial in trained}) == 16
    assert {number: complete[number] for number in before} == before
    for trial in trained:
        reached = 9 if trial.number in complete else max(trial.intermediate_values)
        assert reached in (3, 9)
        assert [epoch["epoch"] for epoch in trial.user_attrs["curve"]] == list(range(1, reached + 1))
        assert {segment.device for segment in segments_of(trial.user_attrs)} == {"cuda:0"}


def test_one_process_of_torchrun_trains_by_nccl(searched: str, cli: Any) -> None:
    words = ("retrain", "best", "--study", searched, "epochs=3", "--out", f"{searched}/by_torchrun")
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1", "-m", "nas")
    run = subprocess.run((*torchrun, *words), cwd=cli.home, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    (retrained,) = retrained_runs(cli.home / searched / "by_torchrun")
    assert len(retrained.epochs) == 3
    assert retrained.device == torch.cuda.get_device_name()


def test_a_gpu_that_is_not_there_is_one_error(cli: Any) -> None:
    for words in (("search", "small.yaml", "--out", "none"), ("bench", "throughput", "small.yaml")):
        options = (
            ("--device", "cuda:7")
            if words[0] == "bench"
            else ("resources.executor=local", "resources.gpus_per_trial=9")
        )
        run = cli.run(*words, *options)
        assert run.returncode == 2
        assert len(run.stderr.strip().splitlines()) == 1
