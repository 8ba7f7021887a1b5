"""A Ray cluster whose only node with CPUs does not see the study's folder: an empty file system lies over it there."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nas.analysis.results import Results
from nas.models.export import export
from nas.models.retrain import load_retrained
from nas.study.content import StudySnapshot
from nas.study.layout import CHECKPOINT, REFERENCE, WEIGHTS
from nas.study.retrained import retrained_runs


def can_hide_folders() -> bool:
    """True if this process may make a mount namespace, in which it mounts something."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt"]
    return subprocess.run(command, capture_output=True).returncode == 0


needs_namespaces = pytest.mark.skipif(not can_hide_folders(), reason="this process may not make a mount namespace")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of the nodes and of the search; the token keeps other clusters of this machine apart."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return {**os.environ, **token, "RAY_USAGE_STATS_ENABLED": "0", "RAY_enable_worker_prestart": "0"}


def start_node(*words: object, environment: dict[str, str], hidden: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a node as the leader of a process group; `hidden` is empty for it."""
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
    command = [*ray, *map(str, words)]
    if hidden is not None:
        mount = 'mount -t tmpfs none "$0" && exec "$@"'
        command = ["unshare", "-m", "sh", "-c", mount, str(hidden), *command]
    return subprocess.Popen(
        command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.fixture
def cluster(cli: Any, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster of two nodes; the second does not see `hidden` in the folder of `cli`."""
    (cli.home / "hidden").mkdir()
    address = f"127.0.0.1:{free_port()}"
    short = Path(f"/tmp/mixfront-test-{os.getpid()}")  # Ray's sockets need a short path
    other = short / "other"
    other.mkdir(parents=True)
    port = address.rpartition(":")[2]
    head = (
        "--head",
        "--num-cpus=0",
        f"--port={port}",
        "--node-ip-address=127.0.0.1",
        "--include-dashboard=false",
        f"--temp-dir={short}/r",
    )
    nodes = [start_node(*head, environment=environment)]
    try:
        elsewhere = environment | {"TMPDIR": str(other)}
        joined = (f"--address={address}", "--num-cpus=2", "--node-ip-address=127.0.0.1")
        cli.wait_until(lambda: is_open(address), nodes[0])
        nodes.append(start_node(*joined, environment=elsewhere, hidden=cli.home / "hidden"))
        yield address
    finally:
        for node in nodes:
            node.terminate()
        for node in nodes:
            node.wait(60)
        shutil.rmtree(short, ignore_errors=True)


def is_open(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@needs_namespaces
def test_workers_that_do_not_see_the_folder_train_for_it(
    cli: Any, cluster: str, environment: dict[str, str], tmp_path: Path
) -> None:
    words = (
        "search",
        "small.yaml",
        "--out",
        "hidden/study",
        "--address",
        cluster,
        "scheduler.name=halving",
        "trials=4",
    )
    ended = cli.run(*words, **environment)
    assert ended.returncode == 0, ended.stderr
    complete = cli.complete("hidden/study")
    assert complete
    folder = cli.home / "hidden" / "study"
    for trial in complete:
        assert (folder / "trials" / f"{trial.number:05d}" / WEIGHTS).is_file()
    assert (folder / REFERENCE).is_file()
    assert not list(folder.rglob(CHECKPOINT))
    other = Path(f"/tmp/mixfront-test-{os.getpid()}") / "other"
    assert len(list(other.glob("mixfront-*/images/*.safetensors"))) == 1  # the node has fetched the images once
    assert not [file for name in (WEIGHTS, CHECKPOINT) for file in other.rglob(name)]
    retrained = cli.run(
        "retrain", "--front", "--study", "hidden/study", "--address", cluster, "epochs=2", **environment
    )
    assert retrained.returncode == 0, retrained.stderr
    runs = retrained_runs(folder)
    assert {run.trial for run in runs} == set(Results.load(folder).front["trial"])
    for run in runs:
        load_retrained(folder, run)  # checks whose weights they are
    left = {path.name for path in (folder / "retrained").iterdir() if not path.name.startswith("trial-")}
    assert left <= {"lock"}
    assert len(list(other.glob("mixfront-*/images/*.safetensors"))) == 1
    export(StudySnapshot.of(folder), "best", tmp_path / "model")  # checks whose weights they are
