"""The time of examples of laws, the number of tests at a time, and a PostgreSQL server for those who need one.

Examples have no limit on their time: machines are shared.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from postgresql import PASSWORD, PostgreSQL, find_programs, running_postgresql

settings.register_profile("shared", deadline=None)
settings.load_profile("shared")


def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: three workers for two processors, since many tests wait for other processes."""
    return max(1, len(os.sched_getaffinity(0)) * 3 // 2)


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
