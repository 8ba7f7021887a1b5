"""URLs of databases: what is one, where its password goes, and the file in the folder of a study that names it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nas.errors import ConfigError, UsageError
from nas.study.config import StudyConfig
from nas.study.database.storage_url import StoragePlace, StorageUrl, without_password

STUDY = "space: {stem: {patch: 4}, stages: [{mixer: pool, width: 8}]}\n"


@pytest.mark.parametrize(
    ("text", "shown", "password"),
    [
        ("postgresql://me@host/db", "postgresql://me@host/db", None),
        ("postgresql://me:secret@host:5433/db", "postgresql://me@host:5433/db", "secret"),
        ("postgresql://me:s%2Fe%40c@host/db", "postgresql://me@host/db", "s/e@c"),
        ("postgresql://me:a/b@c:d@host/db", "postgresql://me@host/db", "a/b@c:d"),
        ("postgres://host/db", "postgresql://host/db", None),
        ("postgresql+psycopg://me:@host/db", "postgresql://me@host/db", ""),
        ("postgresql://me@/db?host=/run/postgresql", "postgresql://me@/db?host=/run/postgresql", None),
        ("postgresql://me:secret@[::1]:5/db?sslmode=require", "postgresql://me@[::1]:5/db?sslmode=require", "secret"),
    ],
)
def test_the_password_is_kept_apart_from_the_url(text: str, shown: str, password: str | None) -> None:
    url = StorageUrl.parse(text)
    assert (str(url), url.password) == (shown, password)
    assert StorageUrl.parse(shown) == url
    assert not password or password not in repr(url)
    complete = url.to_sqlalchemy()
    assert complete.drivername == "postgresql+psycopg"
    assert complete.password == password
    assert complete.database == "db"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "study.db",
        "sqlite:///study.db",
        "mysql://me:secret@host/db",
        "postgresql://me:secret@host",
        "postgresql://me:secret@host:port/db",
        "postgresql:/me:secret@host/db",
        "me:secret@host/db",
        "postgresql://host/db?password=secret",
        "postgresql://me:secret/1@host/db?sslpassword=secret",
    ],
)
def test_what_is_no_url_of_a_database_is_refused_in_one_line_without_the_password(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--storage: ") as caught:
        StorageUrl.parse(text, "--storage")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["postgresql://me:secret@host/db", "x://me:secret/@h", "postgresql://me:se@cr:secret@host/db", "a?password=secret"],
)
def test_a_password_is_hidden_wherever_a_url_stands(text: str) -> None:
    assert "secret" not in without_password(f"cannot connect to {text}: refused")
    assert "refused" in without_password(f"cannot connect to {text}: refused")


def test_a_password_is_hidden_in_messages_of_others() -> None:
    url = StorageUrl.parse("postgresql://me:a%2Fb@host/db")
    assert url.redact("no a/b and no a%2Fb") == "no *** and no ***"


def test_the_folder_names_the_database_without_the_password(tmp_path: Path) -> None:
    place = StoragePlace(StorageUrl.parse("postgresql://me:secret@host/db"), "digits")
    place.write(tmp_path)
    assert json.loads((tmp_path / "storage.json").read_text()) == {"url": "postgresql://me@host/db", "study": "digits"}
    assert StoragePlace.of_folder(tmp_path) == place
    assert StoragePlace.of_folder(tmp_path / "elsewhere") is None


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"url": 1, "study": "s"}', '{"url": "sqlite:///x", "study": "s"}', "\0", "[" * 100_000]
)
def test_a_damaged_file_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "storage.json").write_text(text)
    with pytest.raises(UsageError, match=r"storage\.json: must be ") as caught:
        StoragePlace.of_folder(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "storage.json")
    with pytest.raises(UsageError, match=r"storage\.json: cannot be read: must be a regular file, found a pipe"):
        StoragePlace.of_folder(tmp_path)


def test_a_configuration_names_the_database_without_a_password(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY + "storage: postgresql://me@host/db\n")
    assert StudyConfig.from_file(file).storage == "postgresql://me@host/db"
    file.write_text(STUDY + "storage: postgresql://me:secret@host/db\n")
    with pytest.raises(ConfigError, match=r"study\.yaml:2:1: storage: must have no password in a file") as caught:
        StudyConfig.from_file(file)
    assert "secret" not in str(caught.value)
    file.write_text(STUDY)
    with pytest.raises(ConfigError, match=r"storage=postgresql://.*@host/db: must have no password") as caught:
        StudyConfig.from_file(file, "storage=postgresql://me:secret@host/db")
    assert "secret" not in str(caught.value)
