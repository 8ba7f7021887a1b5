"""A PostgreSQL server of our own on this machine, for tests and for the fault harness."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

DEBIAN_PROGRAMS = "/usr/lib/postgresql"
USER, PASSWORD = "mixfront", "s3cret{word}"


@dataclass(frozen=True)
class PostgreSQL:
    """A server of our own, on a free port of the loopback interface.

    Args:
        programs: the folder with `pg_ctl`.
        folder: its files.
        port: its port.
        account: the user that runs it, since it refuses to run as root; None: this one.
    """

    programs: Path
    folder: Path
    port: int
    account: pwd.struct_passwd | None
    _numbers: Iterator[int]

    user = USER
    password = PASSWORD

    @classmethod
    def create(cls, programs: Path, folder: Path) -> PostgreSQL:
        """Create the files of a server in the empty `folder`."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = cls(programs, folder, port, _account(), count())
        if server.account is not None:
            os.chown(folder, server.account.pw_uid, server.account.pw_gid)
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        words = ("--auth-local=trust", "--auth-host=scram-sha-256", "-U", USER, f"--pwfile={folder / 'password'}")
        server._run("initdb", "-D", folder / "data", "--no-sync", "-E", "UTF8", "--locale=C", *words)
        return server

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", options, "start")

    def stop(self) -> None:
        """Stop it at once, as a crash would."""
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-m", "immediate", "stop")

    def create_database(self) -> str:
        """The URL of a new database, without the password."""
        name = f"studies{next(self._numbers)}"
        self._run("createdb", "-h", self.folder, "-p", self.port, "-U", USER, name)
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def query(self, url: str, sql: str) -> str:
        """What `psql` prints for `sql` in the database of `url`."""
        database = url.rpartition("/")[2]
        return self._run("psql", "-h", self.folder, "-p", self.port, "-U", USER, "-At", "-c", sql, database)

    def dump(self, url: str) -> str:
        """The content of the database of `url` as text."""
        return self._run("pg_dump", "-h", self.folder, "-p", self.port, "-U", USER, url.rpartition("/")[2])

    def _run(self, program: str, *words: Any) -> str:
        command = [str(self.programs / program), *map(str, words)]
        account = self.account
        rights = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        output = subprocess.PIPE if program in ("psql", "pg_dump") else subprocess.DEVNULL
        environment = {**os.environ, "HOME": str(self.folder)}
        run = subprocess.run(
            command, cwd=self.folder, env=environment, stdout=output, stderr=subprocess.PIPE, text=True, **rights
        )
        assert run.returncode == 0, run.stderr
        return run.stdout or ""


def _account() -> pwd.struct_passwd | None:
    """The user that runs the server if this one is root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def find_programs() -> Path | None:
    """The folder with the programs of the server: where `pg_ctl` is found, or Debian's newest."""
    on_path = [] if shutil.which("pg_ctl") is None else [Path(str(shutil.which("pg_ctl"))).resolve().parent]
    debian = sorted(Path(DEBIAN_PROGRAMS).glob("*/bin"), key=lambda folder: float(folder.parent.name))
    found = [folder for folder in (*on_path, *reversed(debian)) if (folder / "initdb").exists()]
    return found[0] if found else None


@contextmanager
def running_postgresql(programs: Path) -> Iterator[PostgreSQL]:
    """Yield a new server that runs; its files are removed at the end.

    Args:
        programs: the folder with its programs (`find_programs`).
    """
    folder = Path(tempfile.mkdtemp(prefix="mixfront-postgresql-", dir="/tmp"))
    try:
        server = PostgreSQL.create(programs, folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
