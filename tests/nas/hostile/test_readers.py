"""Files that only workers and servers read, hostile or broken: nothing is executed, nothing waits, and they are made again."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from makers import DEEP, DEEP_MAPPING, HUGE_INT, at, link, pipe, text

from nas.analysis.columns import StudyColumns
from nas.analysis.columns_cache import load_columns, save_columns
from nas.analysis.fidelity_file import FIDELITY_FILE, read_fidelity
from nas.errors import UsageError
from nas.fidelity.store import Store
from nas.models.export import export
from nas.objectives import get
from nas.study.content import StudySnapshot
from nas.study.database.reader import Cursor
from nas.study.operator_table import read_tables
from nas.study.outcomes.stacks import take_stacks
from nas.study.segments import Segment, WorkerFiles
from search_space.errors import SpaceError
from trainers.errors import DataError
from trainers.input_files import read_json
from trainers.training import checkpoint
from trainers.watchdog import watch

FIXTURE = Path(__file__).parents[2] / "fixtures" / "v0_1" / "study"
OBJECTIVES = (get("accuracy"), get("macs"))

NO_FILES = {
    "pipe": pipe("file"),
    "link to /dev/zero": link("/dev/zero", "file"),
    "link to itself": link("file", "file"),
    "link to nothing": link("nowhere", "file"),
    "folder": at("file", Path.mkdir),
}
"""What is no file."""
CONTENTS: dict[str, str | bytes] = {
    "empty": "",
    "text": "no JSON",
    "deep": DEEP,
    "deep mapping": DEEP_MAPPING,
    "list": "[1]",
    "null": "null",
    "integer of 5,000 digits": f'{{"a": {HUGE_INT}}}',
    "NaN": '{"a": NaN}',
    "bytes": b"\xff\xfe\0\xd8",
    "pickle": b"cos\nsystem\n(S'touch $CANARY'\ntR.",
}
"""What is no JSON of ours."""
EVERYTHING = NO_FILES | {name: text(content, "file") for name, content in CONTENTS.items()}


class Evil:
    """Executed by any unpickler without restrictions."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.canary}",)


@pytest.mark.parametrize("kind", EVERYTHING)
def test_a_cache_that_is_none_counts_as_missing(tmp_path: Path, kind: str) -> None:
    EVERYTHING[kind](tmp_path)
    file = tmp_path / "file"
    assert read_tables(file) == {}
    assert load_columns(file, OBJECTIVES, "study") is None
    (tmp_path / FIDELITY_FILE).parent.mkdir()
    file.rename(tmp_path / FIDELITY_FILE)
    assert read_fidelity(tmp_path, 1) is None


@pytest.mark.parametrize("kind", EVERYTHING)
def test_a_checkpoint_that_is_none_counts_as_missing(tmp_path: Path, kind: str) -> None:
    EVERYTHING[kind](tmp_path)
    assert checkpoint.load(tmp_path / "file") is None
    assert checkpoint.load_metadata(tmp_path / "file") == {}


def saved(content: object) -> bytes:
    """A file of torch."""
    stream = BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["pickle", "torch", "zip"])
def test_a_checkpoint_with_a_valid_digest_executes_nothing(tmp_path: Path, kind: str) -> None:
    canary, file = tmp_path / "executed", tmp_path / "checkpoint.pt"
    evil = Evil(canary)
    content = {"pickle": pickle.dumps(evil), "torch": saved({"identity": evil}), "zip": b"PK\x05\x06" + bytes(18)}[kind]
    file.write_bytes(hashlib.sha256(content).digest() + content)
    assert checkpoint.load(file) is None
    assert not canary.exists()


OPERATORS: dict[str, Any] = {
    "no operators": {"operators": {}},
    "seconds 0": {"seconds": 0},
    "seconds NaN": {"seconds": float("nan")},
    "negative seconds": {"seconds": -1},
    "too few features": {"traits": [1.0]},
    "infinite features": {"traits": [1.0, float("inf"), 0, 0, 0]},
    "features of text": {"traits": "12345"[:4]},
    "batch of 0": {"batch_size": 0},
    "batch of text": {"batch_size": "x"},
}


@pytest.mark.parametrize("kind", OPERATORS)
def test_times_of_operators_that_are_none_are_measured_again(tmp_path: Path, kind: str) -> None:
    change = OPERATORS[kind]
    time = {"family": "f", "kind": "k", "traits": [1.0, 2.0, 0.0, 3.0, 1.0], "seconds": 1.0}
    table = {"batch_size": 16, "operators": {"a": {name: change.get(name, value) for name, value in time.items()}}}
    file = tmp_path / "operators.json"
    file.write_text(json.dumps({"images_per_s": table}))
    valid = not {"seconds", "traits"} & change.keys()
    assert list(read_tables(file)) == (["images_per_s"] if valid else [])
    file.write_text(json.dumps({"images_per_s": table | change}))
    assert read_tables(file) == {}


def columns_file(folder: Path) -> Path:
    """The columns of a study without trials, as a dashboard writes them."""
    file = folder / "columns.npz"
    save_columns(file, StudyColumns(OBJECTIVES), Cursor.parse("0;"), "study")
    assert load_columns(file, OBJECTIVES, "study") is not None
    return file


def header_of(file: Path) -> dict[str, Any]:
    """The header of a file of columns."""
    with np.load(file) as archive:
        return dict(json.loads(archive["header"].tobytes()))


def rewrite(file: Path, header: bytes | None = None, compress: bool = False, **arrays: Any) -> None:
    """Replace arrays of a file of columns."""
    with np.load(file) as archive:
        content = {name: archive[name] for name in archive.files} | arrays
    if header is not None:
        content["header"] = np.frombuffer(header, np.uint8)
    with file.open("wb") as stream:
        (np.savez_compressed if compress else np.savez)(stream, **content)


@pytest.mark.parametrize("kind", ["object", "missing", "deep", "compressed", "huge", "texts", "count", "cut"])
def test_columns_that_are_hostile_are_read_again(tmp_path: Path, kind: str) -> None:
    file = columns_file(tmp_path)
    header, canary = header_of(file), tmp_path / "executed"
    match kind:
        case "object":
            rewrite(file, feasible=np.array([Evil(canary)], dtype=object))
        case "deep":
            rewrite(file, DEEP.encode())
        case "compressed":
            rewrite(file, compress=True)
        case "texts":
            rewrite(file, json.dumps(header | {"workers": [{"a": 1}]}).encode())
        case "count":
            rewrite(file, json.dumps(header | {"count": 10**18}).encode())
        case "cut":
            os.truncate(file, file.stat().st_size // 2)
        case "missing":
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr("header.npy", b"x")
        case "huge":
            array = (
                b"\x93NUMPY\x01\x00v\0"
                + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }".ljust(117)
                + b"\n"
            )
            with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr("blocks.npy", array)
    assert load_columns(file, OBJECTIVES, "study") is None
    assert not canary.exists()


SEGMENTS: dict[str, Any] = {
    "worker of a number": {"trial": 1, "segment": {"worker": 3, "start": 1.0}},
    "start of text": {"trial": 1, "segment": {"worker": "a/cpu/1", "start": "x"}},
    "start NaN": {"trial": 1, "segment": {"worker": "a/cpu/1", "start": float("nan")}},
    "start of year 10^9": {"trial": 1, "segment": {"worker": "a/cpu/1", "start": 1e300}},
    "segment of a list": {"trial": 1, "segment": [1]},
    "trial that is infinite": {"trial": float("inf"), "segment": {"worker": "a/cpu/1", "start": 1.0}},
}


def test_announcements_that_are_none_are_passed_over(tmp_path: Path) -> None:
    files, valid = WorkerFiles(tmp_path / "workers"), Segment("node/cpu/1", 1.0)
    (tmp_path / "file").write_text("not ours")
    with files.opened("nonce"):
        for number, content in enumerate((*map(json.dumps, SEGMENTS.values()), *CONTENTS.values())):
            text(content, f"{number}.json")(files.folder)
        for number, make in enumerate(NO_FILES.values()):
            (tmp_path / f"no{number}").mkdir()
            make(tmp_path / f"no{number}")
            (tmp_path / f"no{number}" / "file").rename(files.folder / f"no{number}.json")
        link("../file", "node_cpu_1.json")(files.folder)
        files.announce(3, valid)
        assert list(files.read()) == [(3, valid)]
    assert (tmp_path / "file").read_text() == "not ours"


def test_stacks_are_not_written_to_what_a_link_leads_to(tmp_path: Path) -> None:
    others, stacks = tmp_path / "others.txt", tmp_path / "stacks.txt"
    others.write_text("not ours")
    stacks.symlink_to(others)
    with watch(stacks):
        assert stacks.read_text() == ""
    assert others.read_text() == "not ours"
    for make in NO_FILES.values():
        make(tmp_path)
        (tmp_path / "file").rename(tmp_path / "stacks.txt")
        assert take_stacks(tmp_path) is None
        (tmp_path / "stacks.txt").rename(tmp_path / f"done{len(list(tmp_path.iterdir()))}")


def test_results_are_not_written_to_what_a_link_leads_to(tmp_path: Path) -> None:
    others = tmp_path / "others.txt"
    others.write_text("not ours, and without an end of the line")
    (tmp_path / "trainings.jsonl").symlink_to(others)
    with pytest.raises(UsageError, match=r"trainings\.jsonl: must be a regular file, found a link"):
        Store(tmp_path)
    assert others.read_text() == "not ours, and without an end of the line"


def test_results_of_another_shape_are_trained_again(tmp_path: Path) -> None:
    lines = (
        DEEP, DEEP_MAPPING, "[1]", "null", '{"key": []}', '{"key": "a"}', '{"key": "a", "curve": []}',
        '{"key": "a", "curve": [[1]]}',
        '{"key": "a", "curve": [["x", 1]]}', '{"key": "a", "curve": [[NaN, 1]]}', '{"key": "a", "epochs": 9, "curve": [[1, 1]]}',
        '{"key": "a", "failure": 3}', '{"key": "a", "scores": {}}', '{"key": "a", "scores": {"naswot": 3}}',
    )  # fmt: skip
    kept = '{"key": "b", "epochs": 1, "curve": [[0.5, 1.0]]}'
    (tmp_path / "trainings.jsonl").write_text("\n".join((*lines, kept, "")))
    assert list(Store(tmp_path).results) == ["b"]


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_never_waited_for(tmp_path: Path, kind: str) -> None:
    NO_FILES[kind](tmp_path)
    with pytest.raises(OSError):
        read_json(tmp_path / "file")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model."""
    folder = tmp_path_factory.mktemp("export") / "model"
    export(StudySnapshot.of(FIXTURE), 0, folder)
    return folder


MODEL_ARGS: dict[str, tuple[Any, str]] = {
    "nothing": ({}, "architecture"),
    "a list": ({"architecture": [1]}, "mapping"),
    "text": ({"architecture": "__import__('os')"}, "mapping"),
    "an empty mapping": ({"architecture": {}}, "image_size|stages"),
    "a width of 10^9": ({"architecture": {"image_size": [8, 8], "stages": [{"mixer": "conv", "width": 10**9}]}}, "width"),
    "images of 10^9": ({"architecture": {"image_size": [10**9, 10**9], "stages": [{"mixer": "conv", "width": 8}]}}, "image_size"),
    "an unknown mixer": ({"architecture": {"image_size": [8, 8], "stages": [{"mixer": "os.system", "width": 8}]}}, "os.system"),
    "an unknown argument": ({"evil": 1}, "evil"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MODEL_ARGS)
def test_timm_refuses_a_model_with_hostile_arguments(tmp_path: Path, model: Path, kind: str) -> None:
    import timm

    args, expected = MODEL_ARGS[kind]
    config = json.loads((model / "config.json").read_text())
    known = config["model_args"] if kind == "an unknown argument" else {}
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_args": known | args}))
    (tmp_path / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes())
    with pytest.raises((SpaceError, TypeError, ValueError), match=expected) as error:
        timm.create_model(f"local-dir:{tmp_path}", pretrained=True)
    assert "\n" not in str(error.value)


def test_timm_executes_nothing_of_the_weights_of_a_model(tmp_path: Path, model: Path) -> None:
    import timm

    canary = tmp_path / "executed"
    (tmp_path / "config.json").write_bytes((model / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(saved({"head.weight": Evil(canary)}))
    with pytest.raises(Exception, match="weights_only"):
        timm.create_model(f"local-dir:{tmp_path}", pretrained=True)
    assert not canary.exists()


def test_a_study_does_not_share_images_that_are_none(tmp_path: Path) -> None:
    from nas.evaluation.image_cache import cached_images
    from nas.study.url_store import UrlStore

    (file,) = (FIXTURE / "data").glob("*.safetensors")
    store = UrlStore(f"file://{tmp_path}/store")
    store.publish("data/x.safetensors", file)
    fingerprint = StudySnapshot.of(FIXTURE).fingerprint
    cache, others = tmp_path / "cache", tmp_path / "others.txt"
    cache.mkdir()
    others.write_text("not ours")
    for target in ("/dev/zero", str(others), "nowhere"):
        (cache / f"{fingerprint}.safetensors").unlink(missing_ok=True)
        (cache / f"{fingerprint}.safetensors").symlink_to(target)
        assert cached_images(store, "data/x.safetensors", fingerprint, cache).read_bytes() == file.read_bytes()
    assert others.read_text() == "not ours"
    with pytest.raises(DataError, match="must have the fingerprint"):
        cached_images(store, "data/x.safetensors", "f00d", cache)
