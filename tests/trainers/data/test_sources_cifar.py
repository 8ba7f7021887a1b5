"""The binary CIFAR layout, on small files of that layout with known bytes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from trainers.data import sources
from trainers.data.config import DataConfig
from trainers.data.dataset import load
from trainers.data.prepared import prepare
from trainers.data.sources.cifar import Cifar
from trainers.data.types import ReadContext
from trainers.errors import DataError

RECORDS = 40


def small(name: str) -> Cifar:
    """The source called `name`, with files of few records."""
    source = sources.get(name)
    assert isinstance(source, Cifar)
    return dataclasses.replace(source, files=tuple((file, part, RECORDS) for file, part, _ in source.files))


def write(source: Cifar, folder: Path) -> dict[str, np.ndarray]:
    """Write all files of `source` with random pixels and labels 0, 1, 2, ...; return the records of each."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    tables = {}
    for file, _, records in source.files:
        table = rng.integers(0, 256, (records, source.label_bytes + 3072), dtype=np.uint8)
        table[:, source.label_bytes - 1] = np.arange(records) % source.classes
        table.tofile(folder / file)
        tables[file] = table
    (folder / source.names_file).write_text("".join(f"class_{i}\n" for i in range(source.classes)) + "\n")
    return tables


@pytest.fixture(params=["cifar10", "cifar100"])
def name(request: pytest.FixtureRequest) -> str:
    """Each of the two."""
    return str(request.param)


def test_published_sizes() -> None:
    ten, hundred = sources.get("cifar10"), sources.get("cifar100")
    assert isinstance(ten, Cifar)
    assert isinstance(hundred, Cifar)
    assert [file for file, _, _ in ten.files] == [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    # The sizes of the published files, in bytes.
    assert {records * (ten.label_bytes + 3072) for _, _, records in ten.files} == {30_730_000}
    assert [records * (hundred.label_bytes + 3072) for _, _, records in hundred.files] == [153_700_000, 30_740_000]


@pytest.mark.parametrize("inner", [True, False])
def test_bytes_become_pixels_and_labels(name: str, inner: bool, tmp_path: Path) -> None:
    source = small(name)
    tables = write(source, tmp_path / source.folder)
    path = tmp_path / source.folder if inner else tmp_path
    calls: list[tuple[int, int]] = []
    found = source.locate(DataConfig(source=name, path=path))
    decoded = found.read(ReadContext(lambda done, total: calls.append((done, total))))
    assert decoded.name == name
    assert decoded.class_names == tuple(f"class_{i}" for i in range(source.classes))
    assert set(decoded.parts) == {"train", "test"}
    assert calls[-1] == (RECORDS * len(source.files),) * 2
    last = source.files[-2][0]
    record = tables[last][7]
    image = decoded.parts["train"].images[-RECORDS + 7]
    assert decoded.parts["train"].labels[-RECORDS + 7] == record[source.label_bytes - 1]
    pixels = record[source.label_bytes :]
    for channel, row, column in [(0, 0, 0), (1, 3, 5), (2, 31, 31)]:
        assert image[channel, row, column] == pixels[channel * 1024 + row * 32 + column]


def test_the_test_batch_is_the_test_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = small("cifar10")
    tables = write(source, tmp_path / source.folder)
    monkeypatch.setitem(sources.SOURCES, "cifar10", source)
    data = load(prepare(DataConfig(source="cifar10", path=tmp_path), tmp_path / "cache"))
    assert (len(data.train), len(data.val), len(data.test)) == (160, 40, 40)
    assert (data.in_chans, data.image_size, data.num_classes, data.default_augment) == (3, (32, 32), 10, "flip")
    expected = {row[1:].tobytes() for row in tables["test_batch.bin"]}
    assert {image.numpy().tobytes() for image in data.test.images} == expected


def test_resized(tmp_path: Path) -> None:
    source = small("cifar10")
    write(source, tmp_path / source.folder)
    decoded = source.locate(DataConfig(source="cifar10", path=tmp_path, image_size=16)).read(ReadContext())
    assert decoded.parts["test"].images.shape == (RECORDS, 3, 16, 16)


@pytest.mark.parametrize("change", [-1, 1, 3073])
def test_a_file_of_wrong_length_is_named(name: str, change: int, tmp_path: Path) -> None:
    source = small(name)
    tables = write(source, tmp_path / source.folder)
    file = tmp_path / source.folder / source.files[-1][0]
    whole = tables[file.name].tobytes()
    file.write_bytes(whole[:change] if change < 0 else whole + b"0" * change)
    with pytest.raises(DataError, match=rf"{file.name}: must be {len(whole)} bytes long") as caught:
        source.locate(DataConfig(source=name, path=tmp_path)).read(ReadContext())
    assert caught.value.value == len(whole) + change


def test_a_label_without_a_class(tmp_path: Path) -> None:
    source = small("cifar10")
    tables = write(source, tmp_path / source.folder)
    table = tables["test_batch.bin"]
    table[3, 0] = 10
    table.tofile(tmp_path / source.folder / "test_batch.bin")
    with pytest.raises(DataError, match=r"test_batch.bin: must hold labels below 10.*found 10"):
        source.locate(DataConfig(source="cifar10", path=tmp_path)).read(ReadContext())


def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    source = small(name)
    write(source, tmp_path / source.folder)
    (tmp_path / source.folder / source.names_file).unlink()
    with pytest.raises(DataError, match=rf"{source.names_file}: no such file"):
        source.locate(DataConfig(source=name, path=tmp_path))


def test_wrong_class_names(tmp_path: Path) -> None:
    source = small("cifar10")
    write(source, tmp_path / source.folder)
    (tmp_path / source.folder / source.names_file).write_text("cat\ndog\n")
    with pytest.raises(DataError, match=r"must hold 10 different names.*found 2"):
        source.locate(DataConfig(source="cifar10", path=tmp_path)).read(ReadContext())


@pytest.mark.parametrize("pickled", ["data_batch_1", "cifar-10-batches-py/data_batch_1"])
def test_the_pickled_layout_is_refused(pickled: str, tmp_path: Path) -> None:
    (tmp_path / pickled).parent.mkdir(exist_ok=True)
    (tmp_path / pickled).write_bytes(b"\x80")
    with pytest.raises(DataError, match="pickled layout, which is not read; fetch the binary one"):
        small("cifar10").locate(DataConfig(source="cifar10", path=tmp_path))


def test_an_empty_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds neither .* nor the folder"):
        small(name).locate(DataConfig(source=name, path=tmp_path))
