"""Files at a URL: what is a URL, what is refused, and whole files on each kind of storage."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from nas.errors import ConfigError, StudyError, UsageError
from nas.study.config import StudyConfig
from nas.study.continuation import check_continues
from nas.study.url_store import UrlStore, check_url, fetch_file

SPACE = "space: {stem: {patch: 2}, stages: [{mixer: pool, width: [8, 16]}]}\n"


@pytest.mark.parametrize(
    "url",
    ["s3://bucket/prefix", "s3://bucket", "gs://bucket/a/b", "file:///folder", "memory://x", "abfs://container/x"],
)
def test_urls(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url", ["", "runs/digits", "/folder", "s3:/bucket", "s3://", "file:///", "S3://bucket", "://x", "a::s3://x"]
)
def test_other_texts_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=f"must be a URL such as s3://bucket/prefix or file:///folder, found {url}"):
        check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "s3://KEY:sesame@bucket/x", "s3://sesame@bucket", "s3://bucket/x?key=sesame", "gs://bucket/x#sesame",
        "s3:/sesame@bucket", "sesame@", "file::s3://sesame@x",
    ],
)  # fmt: skip
def test_credentials_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="credentials or options") as error:
        check_url(url)
    assert "sesame" not in str(error.value)


def test_an_error_in_a_study_names_its_place_and_no_credentials(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(f"files: s3://KEY:sesame@bucket\n{SPACE}")
    with pytest.raises(ConfigError) as error:
        StudyConfig.from_file(file)
    assert str(error.value).startswith(f"{file}:1:1: files: must not contain credentials or options")
    assert "sesame" not in str(error.value)
    for word in ("files=s3://KEY:sesame@bucket", "files=s3://bucket/x?secret=sesame#sesame"):
        with pytest.raises(ConfigError) as error:
            StudyConfig.from_file(file, word)
        assert "must not contain credentials or options" in str(error.value)
        assert "sesame" not in str(error.value)


@pytest.fixture(params=["file", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> UrlStore:
    if request.param == "s3":
        return UrlStore(request.getfixturevalue("s3_url"))
    return UrlStore(f"file://{tmp_path}/a place" if request.param == "file" else f"memory://{tmp_path.name}")


def test_files_come_and_go(store: UrlStore, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "new" / "target"
    for content in (b"", os.urandom(10_000), os.urandom(12_000_000)):
        source.write_bytes(content)
        store.publish("trials/00001/checkpoint.pt", source)
        assert store.size("trials/00001/checkpoint.pt") == len(content)
        assert store.fetch("trials/00001/checkpoint.pt", target)
        assert target.read_bytes() == content
    store.remove("trials/00001/checkpoint.pt")
    store.remove("trials/00001/checkpoint.pt")
    assert store.size("trials/00001/checkpoint.pt") is None
    assert not store.fetch("trials/00001/checkpoint.pt", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_place_is_checked_and_left_as_it_was(store: UrlStore, tmp_path: Path) -> None:
    store.check()
    folder = tmp_path / "a place"
    assert not folder.exists() or list(folder.iterdir()) == []


def test_a_place_that_cannot_be_written_to(tmp_path: Path, s3_url: str) -> None:
    (tmp_path / "file").touch()
    for url, cause in ((f"file://{tmp_path}/file/below", "."), ("s3://no-such-bucket-here/x", "bucket")):
        with pytest.raises(UsageError, match=rf"^files: must be a place to write to, found {url} \(.*{cause}.*\)$"):
            UrlStore(url).check()


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"files: .*nosuch.*, found nosuch://bucket"):
        UrlStore("nosuch://bucket")
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(UsageError, match=r"files: Please install gcsfs .*, found gs://bucket/x"):
        UrlStore("gs://bucket/x")


def test_a_study_that_states_a_url_with_credentials_is_not_followed(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="must not contain credentials") as error:
        fetch_file("s3://sesame@bucket", "trials/00001/model.safetensors", tmp_path / "target")
    assert "sesame" not in str(error.value)


def test_the_url_of_a_study_is_part_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(SPACE)
    assert StudyConfig.from_file(file).files is None
    config = StudyConfig.from_file(file, "files=s3://bucket/x")
    assert config.files == "s3://bucket/x"
    check_continues(config, config.model_dump(mode="json"))
    with pytest.raises(
        ConfigError, match=r"^files=s3://bucket/y: must stay 's3://bucket/x' as at the start of the study"
    ):
        check_continues(StudyConfig.from_file(file, "files=s3://bucket/y"), config.model_dump(mode="json"))


def test_a_mark_changes_with_its_file(store: UrlStore, tmp_path: Path) -> None:
    name, source = "trials/00001/checkpoint.pt", tmp_path / "source"
    assert store.mark(name) is None
    marks = []
    for content in (b"first", b"second"):
        source.write_bytes(content)
        store.publish(name, source)
        assert store.mark(name) == store.mark(name)
        marks.append(store.mark(name))
    assert None not in marks
    assert marks[0] != marks[1]
