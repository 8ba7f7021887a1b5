"""`torchrun -m nas retrain`: two real processes train together, stop together, fail together, and resume to the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from nas.errors import UsageError
from nas.models.retrain.progress_file import read_progress
from nas.models.retrain.together import noted_signals, plan_together
from nas.models.retrain.torchrun_team import Rank
from nas.study.config import Resources
from nas.study.layout import CHECKPOINT, WEIGHTS
from nas.study.retrained import RetrainedRun, retrained_runs
from trainers.training.weights_file import TENSORS_DIGEST, read_metadata

PATIENCE_S = 300.0
BATCH_NORMS = "{image_size: 8, in_chans: 1, stem: {patch: 2}, stages: [{mixer: conv, width: 8}]}"
WORDS = ("--device", "cpu", "--json", "epochs=14", "batch_size=30", "ema=0.9")
NAS = ("-m", "nas")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")

# The second process cannot make its network.
FAILING = """
import os
from nas.cli.main import main
from nas.models.retrain import worker

def fail(*arguments):
    raise RuntimeError("no such kernel")

if os.environ["RANK"] == "1":
    worker.create_module = fail
main()
"""


def start(study: Path, out: Path, program: Sequence[str] = NAS) -> subprocess.Popen[str]:
    """Start the training of a network whose running statistics depend on the images that a process sees."""
    network = out.parent / "network.yaml"
    network.write_text(BATCH_NORMS)
    words = ["retrain", str(network), *WORDS, "--study", str(study), "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, *TORCHRUN, *program, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[str, list[str]]:
    """What the command printed, and the lines about errors that are ours, not those of torchrun."""
    output, errors = process.communicate(timeout=PATIENCE_S)
    return output, [line for line in errors.splitlines() if line.startswith(("nas: ", "interrupted"))]


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
    process = start(copy, out)
    wait_for_epochs(3, out, process)
    os.kill(process_of_rank(1, process), signal.SIGTERM)  # of one alone
    assert ended(process) == ("", [f"interrupted; nothing is lost: the same command continues {out}"])
    assert process.returncode != 0
    (checkpoint,) = out.rglob(CHECKPOINT)
    before = read_progress(checkpoint.parent).epochs
    assert 3 <= before < 14
    assert before % 1 > 0  # within an epoch: the statistics of both processes are needed
    process = start(copy, out)
    wait_for_epochs(before + 3, out, process)
    os.kill(process_of_rank(1, process), signal.SIGKILL)
    rule = "one of the processes of torchrun has ended, or does not answer; the same command continues"
    assert ended(process) == ("", [f"nas: error: {rule}"])
    assert not retrained_runs(out)
    process = start(copy, out)
    printed, errors = ended(process)
    assert (process.returncode, errors) == (0, [])
    record = json.loads(printed)  # of one process alone
    assert (record["trained"], record["runs"][0]["processes"]) == (1, 2)
    undisturbed = start(copy, tmp_path / "undisturbed")
    ended(undisturbed)
    assert learned(out) == learned(tmp_path / "undisturbed")
    assert not list(out.rglob(CHECKPOINT))


def test_a_process_that_fails_alone_ends_all_with_its_error(copy: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(FAILING)
    out = tmp_path / "out"
    started_s = time.monotonic()
    process = start(copy, out, (str(program),))
    rule = "process 1 of torchrun failed: RuntimeError: no such kernel; the same command continues"
    assert ended(process) == ("", [f"nas: error: {rule}"])
    assert process.returncode != 0
    assert time.monotonic() - started_s < PATIENCE_S / 2
    assert not list(out.rglob("seed-*"))


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
