"""A row of the table of bad inputs, the folder that it runs in, and what has to hold after it."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_CPU_S = 5
"""Of a command on a bad input."""
MAX_DIGEST_BYTES = 10_000_000
"""Of the files whose content is compared."""
PASSWORD = "geheim-7342"
"""Of all URLs in the table; no output may have it."""
CANARY = "CANARY"
"""The environment variable with the file that a payload writes if it is executed."""
WARM_NAS = Path(__file__).with_name("warm_nas.py")

Make = Callable[[Path], None]


def nothing(folder: Path) -> None:
    """Makes no input: the words are bad by themselves."""


@dataclass(frozen=True)
class BadInput:
    """A row of the table.

    Args:
        name: of the row.
        words: of the command, as a shell would split them; a sequence is taken as it is.
        expected: parts of the message on standard error, or of the output where `code` is 0.
        make: makes the input in the folder of the row.
        code: the exit code.
        written: what the command may write, relative to the folder of the row.
        finds: True for a command whose exit code says that it has found something, which is its output and no error.
        base: the study that is copied into the folder of the row before `make`, to `done`; empty: none.
    """

    name: str
    words: str | tuple[str, ...]
    expected: tuple[str, ...] = ()
    make: Make = nothing
    code: int = 2
    written: tuple[str, ...] = ()
    base: str = ""
    finds: bool = False

    @property
    def word_list(self) -> list[str]:
        """The words of the command."""
        return shlex.split(self.words) if isinstance(self.words, str) else list(self.words)


@dataclass
class Ended:
    """How a command ended.

    Args:
        code: its exit code; negative: the signal that ended it.
        cpu_s: seconds of CPU time.
        memory_bytes: its largest resident memory.
        stdout, stderr: its output.
        changed: files that were written, changed or removed, relative to the folder of the row.
        executed: True if a payload was executed.
    """

    code: int
    cpu_s: float
    memory_bytes: int
    stdout: str
    stderr: str
    changed: list[str] = field(default_factory=list)
    executed: bool = False


class WarmNas:
    """Runs commands in forks of one process that has imported everything."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[WarmNas]:
        """The process runs within this block."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "COLUMNS": "200"}
        with subprocess.Popen(
            [sys.executable, str(WARM_NAS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        ) as process:
            try:
                yield cls(process)
            finally:
                assert process.stdin is not None
                process.stdin.close()

    def run(self, place: Path, words: list[str]) -> Ended:
        """Run `nas` with `words` in the folder `place/in`; beside it are its home and its temporary folder."""
        for name in ("in", "home", "tmp", "bin"):
            (place / name).mkdir(exist_ok=True)
        canary = place / "executed"
        ghostscript = place / "bin" / "gs"
        ghostscript.write_text(f"#!/bin/sh\ntouch {shlex.quote(str(canary))}\n")
        ghostscript.chmod(0o755)
        before = digest(place)
        out, err = place / "stdout", place / "stderr"
        request = {
            "words": [os.fsencode(word).decode("latin-1") for word in words],
            "folder": str(place / "in"),
            "environment": {
                "HOME": str(place / "home"),
                "TMPDIR": str(place / "tmp"),
                "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
                CANARY: str(canary),
            },
            "stdout": str(out),
            "stderr": str(err),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        usage: dict[str, Any] = json.loads(self._process.stdout.readline())
        texts = [file.read_bytes().decode("utf-8", "replace") if file.exists() else "" for file in (out, err)]
        executed = canary.exists()
        for file in (out, err, canary):
            file.unlink(missing_ok=True)
        after = digest(place)
        changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        return Ended(usage["code"], usage["cpu_s"], usage["memory_bytes"], *texts, changed, executed)


def digest(folder: Path) -> dict[str, str]:
    """Every file and folder below `folder`, with a digest of its content; links and devices are not followed.

    Of a large file the digest is that of its size and the time of its last change.
    """
    found: dict[str, str] = {}
    for parent, folders, files in os.walk(folder, onerror=None):
        for name in (*folders, *files):
            path = Path(parent, name)
            found[str(path.relative_to(folder))] = _digest_of_file(path)
    return found


def _digest_of_file(path: Path) -> str:
    try:
        status = path.lstat()
    except OSError:  # folders in folders, whose path is too long
        return ""
    if stat.S_ISLNK(status.st_mode):
        return f"link to {path.readlink()}"
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_DIGEST_BYTES:
        return "" if stat.S_ISDIR(status.st_mode) else f"{status.st_mode} {status.st_size} {status.st_mtime_ns}"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def faults(row: BadInput, ended: Ended) -> list[str]:
    """What is wrong with the end of `row`, one line each; empty if nothing is."""
    found = []
    if "Traceback" in ended.stderr + ended.stdout:
        return [f"traceback: {ended.stderr.strip().splitlines()[-1][:200]}"]
    if "Warning: " in ended.stderr:
        return [f"warning of Python: {ended.stderr.strip()[:300]}"]
    if ended.code < 0:
        return [f"ended by signal {-ended.code} after {ended.cpu_s:.1f} s of CPU time"]
    if ended.code != row.code:
        found.append(f"exit code {ended.code}, not {row.code}: {ended.stderr[:300]}")
    if ended.cpu_s > MAX_CPU_S:
        found.append(f"{ended.cpu_s:.1f} s of CPU time")
    if PASSWORD in ended.stdout + ended.stderr:
        found.append("the password was printed")
    if ended.executed:
        found.append("a payload was executed")
    lost = [name for name in ended.changed if not name.startswith(tuple(f"in/{name}" for name in row.written))]
    if lost:
        found.append(f"changed: {lost}")
    lines = ended.stderr.splitlines()
    if lines[:1] and lines[0].startswith("Usage: nas "):  # typer's own form of an option that it refuses
        lines = [line.replace("Error: ", "nas: error: ") for line in lines[3:]]
    fails = row.code != 0 and not row.finds
    if fails and [line[:12] for line in lines if line.startswith("nas: error:")] != ["nas: error: "]:
        found.append(f"not one line of an error: {ended.stderr[:300]!r}")
    if fails and len(lines) != 1:
        found.append(f"{len(lines)} lines on standard error: {ended.stderr[:300]!r}")
    if len(max(lines, default="")) > 2000:
        found.append(f"a message of {len(max(lines, key=len))} characters")
    shown = ended.stderr if fails else ended.stdout
    found += [f"no {part!r} in {shown[:400]!r}" for part in row.expected if part not in shown]
    if any((ord(character) < 32 and character not in "\n") or ord(character) == 127 for character in shown):
        found.append(f"control characters in {shown[:300]!r}")
    return found
