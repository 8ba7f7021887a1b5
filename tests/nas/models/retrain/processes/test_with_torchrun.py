"""`torchrun -m nas retrain`: two real processes train together, stop together, fail together, and resume to the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nas.errors import UsageError
from nas.models.retrain.processes.torchrun_team import Rank, noted_signals
from nas.models.retrain.processes.with_torchrun import plan_together
from nas.models.retrain.training.progress import read_progress
from nas.study.config import Resources
from nas.study.layout import CHECKPOINT, WEIGHTS
from nas.study.retrained import RetrainedRun, retrained_runs
from trainers.training.weights_file import TENSORS_DIGEST, read_metadata

PATIENCE_S = 300.0
BATCH_NORMS = "{image_size: 8, in_chans: 1, stem: {patch: 2}, stages: [{mixer: conv, width: 8}]}"
WORDS = ("--device", "cpu", "--json", "epochs=14", "batch_size=30", "ema=0.9")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")

# Runs commands one after the other in each process, and says how they ended. In a folder "failing" the second process cannot make
# its network. An error is told so late that torchrun, which looks every tenth of a second, has seen before that the other process
# has ended.
PROGRAM = """
import json, os, sys, time
from nas.cli import main as command
from nas.cli.main import main
from nas.models.retrain.training import worker

def fail(*arguments):
    raise RuntimeError("no such kernel")

def tell_late(*arguments, tell=command.fail):
    time.sleep(1)
    tell(*arguments)

command.fail = tell_late

for words in json.loads(sys.argv[1]):
    sys.argv = ["nas", *words]
    if os.environ["RANK"] == "1" and words[-1].endswith("failing"):
        worker.create_module = fail
    try:
        main()
    except SystemExit as ended:
        print(f"ended: {os.environ['RANK']} {ended.code}", file=sys.stderr, flush=True)
        code = ended.code
sys.exit(code)
"""


def start(study: Path, *places: Path) -> subprocess.Popen[str]:
    """Start the training of a network whose running statistics depend on the images that a process sees, once for each place."""
    (study.parent / "network.yaml").write_text(BATCH_NORMS)
    (study.parent / "program.py").write_text(PROGRAM)
    words = ["retrain", str(study.parent / "network.yaml"), *WORDS, "--study", str(study), "--out"]
    commands = json.dumps([[*words, str(place)] for place in places])
    return subprocess.Popen(
        [sys.executable, *TORCHRUN, str(study.parent / "program.py"), commands],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[list[str], list[str], list[str]]:
    """The lines that the commands printed, those about errors that are ours, not torchrun's, and how the commands ended."""
    output, errors = process.communicate(timeout=PATIENCE_S)
    said = [line for line in errors.splitlines() if line.startswith(("nas: ", "interrupted"))]
    codes = [line.removeprefix("ended: ") for line in errors.splitlines() if line.startswith("ended: ")]
    return output.splitlines(), said, codes


def process_of_rank(rank: int, torchrun: subprocess.Popen[str]) -> int:
    children = Path(f"/proc/{torchrun.pid}/task/{torchrun.pid}/children").read_text().split()
    wanted = f"RANK={rank}".encode()
    (found,) = [int(pid) for pid in children if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")]
    return found


def wait_for_epochs(epochs: float, out: Path, process: subprocess.Popen[str]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not any(read_progress(file.parent).epochs >= epochs for file in out.rglob("progress.json")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end_s
        time.sleep(0.01)


def only_run(out: Path) -> RetrainedRun:
    (run,) = retrained_runs(out)
    return run


def learned(out: Path) -> tuple[object, ...]:
    run = only_run(out)
    curve = [(epoch["train_loss"], epoch["val_loss"]) for epoch in run.epochs]
    return curve, run.test_confusion, read_metadata(run.folder(out) / WEIGHTS)[TENSORS_DIGEST]


def test_processes_stop_fail_and_resume_together(copy: Path, tmp_path: Path) -> None:
    out = tmp_path / "disturbed"
    process = start(copy, out, out)
    wait_for_epochs(3, out, process)
    os.kill(process_of_rank(1, process), signal.SIGTERM)  # of one alone
    wait_for_epochs(6, out, process)  # the second command continues
    os.kill(process_of_rank(1, process), signal.SIGKILL)
    interrupted = f"interrupted; nothing is lost: the same command continues {out}"
    lost = "nas: error: one of the processes of torchrun has ended, or does not answer; the same command continues"
    printed, errors, codes = ended(process)
    assert printed == []
    assert sorted(codes[:2]) == ["0 130", "1 130"]
    assert (errors, codes[2:]) == ([interrupted, lost], ["0 1"])
    assert process.returncode != 0
    assert not retrained_runs(out)
    (checkpoint,) = out.rglob(CHECKPOINT)
    epochs = read_progress(checkpoint.parent).epochs
    assert 3 < epochs < 14
    process = start(copy, out, tmp_path / "undisturbed", tmp_path / "failing")
    printed, errors, codes = ended(process)
    records = [json.loads(line) for line in printed]  # of one process alone
    assert [(record["trained"], record["runs"][0]["processes"]) for record in records] == [(1, 2)] * 2
    assert learned(out) == learned(tmp_path / "undisturbed")
    assert not list(out.rglob(CHECKPOINT))
    assert errors == [
        "nas: error: process 1 of torchrun failed: RuntimeError: no such kernel; the same command continues"
    ]
    assert sorted(codes[:4]) == ["0 0", "0 0", "1 0", "1 0"]
    assert process.returncode != 0
    assert not list((tmp_path / "failing").rglob("seed-*"))


def test_processes_share_the_cores_and_need_a_gpu_each(monkeypatch: pytest.MonkeyPatch) -> None:
    rank, resources = Rank(0, 4, 0, 4), Resources(cpus_per_trial=3)  # type: ignore[call-arg]
    cores = len(os.sched_getaffinity(0))
    assert plan_together(resources, "cpu", rank) == ("cpu", max(1, cores // 4))
    monkeypatch.setattr("nas.models.device_option.count_gpus", lambda: 2)
    with pytest.raises(
        UsageError, match=r"--device: must be cpu for 4 processes on a machine with 2 GPUs, found 'cuda'"
    ):
        plan_together(resources, None, rank)
    assert plan_together(resources, None, Rank(2, 4, 0, 2)) == ("cuda", 3)
    with pytest.raises(UsageError, match=r"--device: must be cpu or cuda under torchrun.*, found 'cuda:1'"):
        plan_together(resources, "cuda:1", rank)


def test_a_signal_that_comes_twice_is_only_noted() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under `nohup`
    with noted_signals() as is_signalled:
        signal.raise_signal(signal.SIGHUP)
        assert not is_signalled()
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        assert is_signalled()
    signal.signal(signal.SIGHUP, before)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_place_is_that_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert Rank.current() == Rank(3, 4, 1, 2)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert Rank.current() is None
