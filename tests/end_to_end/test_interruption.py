"""Searches that are interrupted, killed, that fail, and that nothing satisfies."""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from nas.study.segments import segments_of
from nas.study.stored import StoredStudy
from nas.study.trials import is_trained

LOCAL = "resources.executor=local"  # which starts in less time than Ray, where the executor does not matter


def test_interrupted_and_killed_searches_go_on_and_lose_nothing(cli: Any) -> None:
    command = ("search", "small.yaml", "--out", "torn", "train.epochs=6", "data.limit=900")
    driver = cli.start(*command, "trials=100", "resources.workers=1")
    cli.wait_for(2, "torn", driver)
    busy = cli.read(*command)
    assert busy.returncode == 2
    assert "it is in use by another process" in busy.stderr
    errors = cli.stop(driver, signal.SIGINT)
    assert driver.returncode == 130
    said = errors[
        errors.index("interrupted; nothing is lost") :
    ]  # Python may print first that a finaliser was interrupted
    assert said.count("\n") <= 2
    after_interrupt = {trial.number: trial.values for trial in cli.complete("torn")}
    assert len(after_interrupt) >= 2

    driver = cli.start(*command, "trials=100")
    cli.wait_for(len(after_interrupt) + 2, "torn", driver)
    cli.wait_until(lambda: any(trial.state == TrialState.RUNNING for trial in cli.trials("torn")), driver)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate()
    after_kill = {trial.number: trial.values for trial in cli.complete("torn")}
    torn = [trial.number for trial in cli.trials("torn") if trial.state == TrialState.RUNNING]
    assert torn  # the kill came in the middle of something
    begun = {number for number in torn if (cli.home / "torn" / "trials" / f"{number:05d}").exists()}

    started = {number for number in torn if segments_of(cli.trials("torn")[number].user_attrs)}

    wanted = len(after_kill) + 3
    last = cli.read(*command, f"trials={wanted}", "resources.workers=1")
    assert last.returncode == 0, last.stderr
    trials = cli.complete("torn")
    assert len(trials) == wanted
    assert len({trial.user_attrs["id"] for trial in trials}) == wanted
    assert all(trial.state != TrialState.RUNNING for trial in cli.trials("torn"))
    found: dict[int, Any] = {trial.number: trial.values for trial in trials}
    for number, values in {**after_interrupt, **after_kill}.items():
        assert found[number] == values  # what was finished was not trained again
    assert not (cli.home / "torn" / "ray").exists()  # of the killed driver neither
    assert begun <= found.keys()  # and what was cut off in the middle of its training was taken up
    for trial in trials:
        assert [epoch["epoch"] for epoch in trial.user_attrs["curve"]] == list(range(1, 7))
        segments = segments_of(trial.user_attrs)
        assert segments[-1].outcome == "completed"
        assert all((segment.end is None) == (segment.outcome == "lost") for segment in segments)
        assert trial.number not in started or segments[0].outcome in ("lost", "interrupted")
    assert not (cli.home / "torn" / "workers").exists()


def test_halving_survives_a_kill_and_stops_what_is_not_promoted(cli: Any) -> None:
    command = (
        "search",
        "small.yaml",
        "--out",
        "halved",
        LOCAL,
        "train.epochs=9",
        "scheduler.name=halving",
        "trials=12",
    )
    driver = cli.start(*command)
    cli.wait_for(1, "halved", driver)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate()
    before = {trial.number: trial.values for trial in cli.complete("halved")}
    run = cli.read(*command, "resources.workers=1")
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    trained = [trial for trial in cli.trials("halved") if not trial.user_attrs.get("refused")]
    assert len(trained) == len({trial.user_attrs["id"] for trial in trained}) == 12
    complete = {trial.number: trial.values for trial in cli.complete("halved")}
    assert {number: complete[number] for number in before} == before
    stopped = [trial for trial in trained if trial.state == TrialState.PRUNED]
    assert len(stopped) + len(complete) == 12
    assert 4 <= len(complete) <= 8  # a third at any time, and in the end all of the best third
    for trial in trained:
        reached = 9 if trial.number in complete else max(trial.intermediate_values)
        assert reached in (3, 9)
        assert [epoch["epoch"] for epoch in trial.user_attrs["curve"]] == list(range(1, reached + 1))
        assert not (cli.home / "halved" / "trials" / f"{trial.number:05d}" / "checkpoint.pt").exists()
    front = {record["trial"] for record in json.loads(cli.read("front", "halved", "--json").stdout)}
    assert front
    assert front <= complete.keys()
    assert f"{len(stopped)} stopped" in cli.read("status", "halved").stdout


def test_trials_that_fail_are_recorded_and_the_search_goes_on(cli: Any) -> None:
    mlp = "{mlp: {expansion: [1, 1e10]}}"  # 2.5 TB of weights fit no machine
    space = f"{{stem: {{patch: 4}}, stages: [{{mixer: pool, depth: 1, width: 8, channel_mixer: {mlp}}}]}}"
    words = ("search", "small.yaml", "--out", "failing", f"space={space}", "resources.workers=1", LOCAL)
    run = cli.read(*words)
    assert run.returncode == 0, run.stderr
    assert "1 complete" in run.stdout
    assert "1 failed" in run.stdout
    small, large = sorted(
        (trial for trial in cli.trials("failing") if is_trained(trial)),
        key=lambda trial: trial.user_attrs["params"],
    )
    assert (small.state, large.state) == (TrialState.COMPLETE, TrialState.FAIL)
    assert "memory" in large.user_attrs["failure"]
    assert "\n" not in large.user_attrs["failure"]
    error = cli.home / "failing" / "trials" / f"{large.number:05d}" / "error.txt"
    assert large.user_attrs["failure"].endswith(f"(see trials/{error.parent.name}/error.txt)")
    assert error.read_text().startswith("Traceback (most recent call last):")
    summary = f"1 trial failed: 1 x out of memory (trial {large.number})"
    assert summary in run.stdout

    again = cli.read(*words, "--retry-failed")
    assert again.returncode == 0, again.stderr
    repeated = cli.trials("failing")[-1]
    assert repeated.user_attrs["retried_from"] == large.number
    assert repeated.user_attrs["seed"] == large.user_attrs["seed"]
    assert f"1 trial failed: 1 x out of memory (trial {repeated.number})" in again.stdout
    status = json.loads(cli.read("status", "failing", "--json").stdout)
    assert status["failures"] == [{"reason": "out of memory", "count": 1, "trials": [repeated.number]}]


def test_a_worker_that_cannot_begin_ends_the_search_and_no_trial_fails_by_it(cli: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own have paths too long for Ray's sockets
        (Path(folder) / f"mixfront-{os.getuid()}").write_text("where workers want a folder")
        run = cli.run("search", "small.yaml", "--out", "unfit", "resources.workers=1", TMPDIR=folder)
    assert run.returncode == 1
    assert run.stderr.startswith("nas: error: a worker cannot start: ")
    assert run.stderr.count("\n") == 1
    (trial,) = [trial for trial in cli.trials("unfit") if trial.state != TrialState.WAITING]
    assert trial.state == TrialState.RUNNING  # the next search takes it up


def test_throughput_limit_that_nothing_satisfies_ends_with_exit_code_3(cli: Any) -> None:
    words = (
        "space.stages.0.mixer=pool",
        "space.num_stages=1",
        "space.stages.0.channel_mixer=mlp",
        "limits.images_per_s=1e9",
        "resources.workers=1",
        LOCAL,
    )
    run = cli.read("search", "small.yaml", "--out", "slow", *words)
    assert run.returncode == 3
    assert "no architecture was found that satisfies the limits (images_per_s: 1000000000): 8 refused" in run.stderr
    trials = cli.trials("slow")
    assert len([t for t in trials if "limit images_per_s" in t.user_attrs["refused"]]) == 8  # 2 patches, depths, widths
    assert len({t.user_attrs["id"] for t in trials}) == 8


def test_limit_on_macs_that_nothing_satisfies_is_a_configuration_error(cli: Any) -> None:
    run = cli.read("search", "small.yaml", "--out", "none", "limits.macs=10")
    assert run.returncode == 2
    assert "limits.macs=10: no architecture of the space is that cheap" in run.stderr


def test_an_address_where_no_cluster_answers_is_told_at_once(cli: Any) -> None:
    run = cli.read("search", "small.yaml", "--out", "far", "resources.address=127.0.0.1:1")
    assert run.returncode == 2
    assert run.stderr.startswith("nas: error: resources.address: no Ray cluster answers there")
    assert run.stderr.count("\n") == 1


def test_a_time_budget_ends_the_search_and_the_next_call_continues_it(cli: Any) -> None:
    words = ("search", "small.yaml", "--out", "budget", "train.epochs=400", LOCAL, "resources.workers=1")
    first = cli.read(*words, "time_budget=25s")
    assert (first.returncode, first.stderr) == (0, "")
    assert "the time budget of 25s is used up after " in first.stdout
    assert "of 6 trials; the same command continues" in first.stdout
    before = {trial.number: trial for trial in cli.trials("budget")}
    assert any(trial.state == TrialState.RUNNING for trial in before.values())  # the next call continues it
    assert not any(trial.user_attrs.get("failure") for trial in before.values())
    assert re.search(r"[12] interrupted", cli.read("status", "budget").stdout)  # one may have been proposed ahead
    last = cli.read(*words, "trials=1", "time_budget=1h")
    assert (last.returncode, last.stderr) == (0, "")
    assert "time budget" not in last.stdout
    complete = {trial.number: trial.values for trial in cli.complete("budget")}
    assert complete
    assert all(
        complete[trial.number] == trial.values for trial in before.values() if trial.state == TrialState.COMPLETE
    )
    optuna_study = StoredStudy.read(cli.home / "budget").optuna
    assert optuna_study.metric_names == ["accuracy", "macs", "images_per_s"]
    assert len(optuna_study.user_attrs["environments"]) == 1
