"""Laws are checked without a limit on the time of an example: machines are shared. A PostgreSQL server for those who need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from postgresql import PASSWORD, PostgreSQL, find_programs, running_postgresql

settings.register_profile("shared", deadline=None)
settings.load_profile("shared")


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
