"""The time of examples of laws, the number of tests and of threads, GPUs, and a PostgreSQL server for those who need one.

Examples have no limit on their time: machines are shared. Tests run side by side, and threads of theirs that wait for each other
would spin on the processors that the others need: a test has one thread of torch and BLAS, and so has each process that it starts
and that does not set its own number. Bits of a training depend on that number, too.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings
from postgresql import PASSWORD, PostgreSQL, find_programs, running_postgresql

settings.register_profile("shared", deadline=None)
settings.load_profile("shared")
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a job in the background; processes that tests start inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # under nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch and numpy are imported
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_configure(config: pytest.Config) -> None:
    """Hide GPUs unless the tests of GPUs alone run: others would wait for each other's searches, and compare bits of a CPU."""
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: three workers for two processors, since many tests wait for other processes."""
    return max(1, len(os.sched_getaffinity(0)) * 3 // 2)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Without the garbage collector: each pass would visit all modules and tests so far, which stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Back to one thread: a worker that an earlier test ran in this process has set its own number."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def _postgresql() -> Iterator[PostgreSQL]:
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (`apt-get install postgresql`)")
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    with running_postgresql(programs) as server:
        yield server


@pytest.fixture
def postgresql(_postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> PostgreSQL:
    """The server of this session; its password is in the environment."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return _postgresql


@pytest.fixture
def database(postgresql: PostgreSQL) -> str:
    """The URL of a new database, without the password."""
    return postgresql.create_database()
