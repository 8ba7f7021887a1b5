"""URLs of storages and of files that are hostile, on the command line and in the folder of a study; passwords stay secret."""

from __future__ import annotations

import json

from bad_input import PASSWORD, BadInput
from makers import STUDY, several, text

SERVER = f"postgresql://me:{PASSWORD}@127.0.0.1:1/db"
"""Nobody listens there."""

STORAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "of SQLite": ("sqlite:////etc/passwd", ("postgresql://",)),
    "of MySQL": (f"mysql://me:{PASSWORD}@host/db", ("postgresql://", "***")),
    "of another driver": (f"postgresql+psycopg2://me:{PASSWORD}@host/db", ("postgresql://",)),
    "of a web page": (f"https://me:{PASSWORD}@example.org/", ("postgresql://",)),
    "with a line end": (f"postgresql://me:{PASSWORD}@127.0.0.1:1/d\nb", ("storage",)),
    "with an escape": (f"postgresql://me:{PASSWORD}@127.0.0.1:1/\x1b[31m", ("storage",)),
    "with a NUL": ("postgresql://me@127.0.0.1:1/%00", ("storage",)),
    "with a line end in the host": (f"postgresql://me:{PASSWORD}@ho\nst/db", ("storage",)),
    "without a database": (f"postgresql://me:{PASSWORD}@127.0.0.1:1", ("storage",)),
    "with a port that is none": (f"postgresql://me:{PASSWORD}@127.0.0.1:port/db", ("storage",)),
    "with a port of 10^30": (f"postgresql://me:{PASSWORD}@127.0.0.1:{10**30}/db", ("storage",)),
    "with a password of signs": (f"postgresql://me:{PASSWORD}@/:@127.0.0.1:1/db", ("127.0.0.1",)),
    "with an encoded password": (f"postgresql://me:{PASSWORD.replace('-', '%2D')}@127.0.0.1:1/db", ("127.0.0.1",)),
    "with a password as an option": (f"postgresql://me@127.0.0.1:1/db?password={PASSWORD}", ("storage", "***")),
    "with an encoded option": (f"postgresql://me@127.0.0.1:1/db?p%61ssword={PASSWORD}", ("storage",)),
    "with a password of a key": (f"postgresql://me@127.0.0.1:1/db?sslpassword={PASSWORD}", ("storage", "***")),
    "with a password file": (f"{SERVER}?passfile=/etc/passwd", ("storage", "passfile")),
    "with a service": (f"{SERVER}?service=/etc/passwd", ("storage", "service")),
    "with a service file": (f"{SERVER}?servicefile=/etc/passwd", ("storage", "servicefile")),
    "with a root certificate": (f"{SERVER}?sslrootcert=/etc/passwd", ("storage", "sslrootcert")),
    "with a key": (f"{SERVER}?sslkey=/etc/passwd&sslcert=/etc/passwd", ("storage", "sslkey")),
    "with an unknown option": (f"{SERVER}?evil=1", ("storage", "evil")),
    "with an option twice": (f"{SERVER}?sslmode=disable&sslmode=require", ("storage",)),
    "of 10^5 characters": (f"postgresql://me:{PASSWORD}@127.0.0.1:1/{'d' * 100_000}", ("storage",)),
    "that does not answer": (SERVER, ("127.0.0.1",)),
}  # fmt: skip
"""Kind -> the URL, and parts of the error."""

IN_FOLDERS = (
    "of SQLite",
    "with a NUL",
    "with an encoded option",
    "with a password file",
    "of 10^5 characters",
    "that does not answer",
)
"""Kinds that a folder of a study names, too."""

FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "of no scheme": ("/tmp/x", ("files",)),
    "of an unknown scheme": ("evil://x/y", ("files", "evil")),
    "of a chain": ("simplecache::file:///tmp/x", ("files",)),
    "with credentials": (f"s3://me:{PASSWORD}@bucket/x", ("files",)),
    "with options": (f"s3://bucket/x?secret={PASSWORD}", ("files",)),
    "that leads out": ("file:///tmp/../etc", ("files",)),
    "of a file of the system": ("file:///proc/version", ("files",)),
    "of a device": ("file:///dev/null", ("files",)),
    "with a line end": ("s3://buck\net/x", ("files",)),
    "with an escape": ("file:///\x1b[31m/x", ("files",)),
    "of S3 without credentials": ("s3://bucket/x", ("files",)),
    "of an archive": ("zip:///etc/passwd", ("files",)),
    "of GitHub": ("github://me/x", ("files",)),
    "of data": ("data://x", ("files",)),
    "of 10^5 characters": ("file:///" + "x" * 100_000, ("files",)),
}  # fmt: skip


def storage_rows() -> list[BadInput]:
    """`nas search` with the URL, and `nas status` of a folder that names it."""
    rows = []
    for kind, (url, expected) in STORAGES.items():
        words = ("search", "study.yaml", "--out", "runs", "--storage", url)
        rows.append(BadInput(f"storage {kind}: search", words, expected, text(STUDY)))
        if kind not in IN_FOLDERS:
            continue
        place = text(json.dumps({"url": url, "study": "digits"}), "runs/storage.json")
        in_folder = tuple(part for part in expected if part != "storage")
        rows.append(BadInput(f"storage {kind}: status", "status runs --json", in_folder, place))
    return rows


def files_rows() -> list[BadInput]:
    """`nas search` with the URL."""
    words = ("search", "study.yaml", "--out", "runs", "resources.executor=local")
    return [
        BadInput(f"files {kind}", (*words, f"files={url}"), expected, several(text(STUDY)), written=("runs",))
        for kind, (url, expected) in FILES.items()
    ]


ROWS = (*storage_rows(), *files_rows())
