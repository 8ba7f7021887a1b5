"""Preparing and loading: the file, the split, the numbers in it."""

from __future__ import annotations

import dataclasses
import errno
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.data import dataset as data_module
from trainers.data.config import DataConfig
from trainers.data.dataset import Dataset, Split, load
from trainers.data.description import describe
from trainers.data.prepared import prepare
from trainers.errors import DataError, DiskError
from trainers.tensor_file import TensorFile


def contents(split: Split) -> set[tuple[bytes, int]]:
    """Each image and its label."""
    return {(i.numpy().tobytes(), int(y)) for i, y in zip(split.images, split.labels, strict=True)}


def write_images(root: Path, names: dict[str, list[int]]) -> Path:
    """For each class, images whose pixels are given by a number each."""
    for name, numbers in names.items():
        (root / name).mkdir(parents=True)
        for position, number in enumerate(numbers):
            pixels = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{position:04d}.png")
    return root


def test_digits(digits: Dataset) -> None:
    assert (digits.name, digits.image_size, digits.in_chans, digits.num_classes) == ("digits", (8, 8), 1, 10)
    assert digits.default_augment == "none"
    assert len(digits.train) + len(digits.val) + len(digits.test) == 1797
    for split in (digits.train, digits.val, digits.test):
        assert split.images.dtype == torch.uint8
        assert split.labels.dtype == torch.int64
    counts = {name: torch.bincount(getattr(digits, name).labels) for name in ("train", "val", "test")}
    total = sum(counts.values())
    for name in ("val", "test"):
        assert (counts[name] - 0.2 * total).abs().max() <= 0.5  # the nearest whole number of each class


def test_no_image_is_in_two_splits(digits: Dataset) -> None:
    splits = [{image for image, _ in contents(split)} for split in (digits.train, digits.val, digits.test)]
    assert len(set.union(*splits)) == sum(len(split) for split in splits)


def test_mean_and_std_are_those_of_the_train_split(digits: Dataset) -> None:
    pixels = digits.train.images.double().numpy() / 255
    np.testing.assert_allclose(digits.mean, pixels.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(digits.std, pixels.std((0, 2, 3)), rtol=1e-12)


def test_a_constant_channel_can_be_divided_by(tmp_path: Path) -> None:
    for name, level in (("a", 1), ("b", 2)):
        (tmp_path / "root" / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.full((4, 4, 3), 7, np.uint8)
            pixels[..., 0] = 10 * level + number
            Image.fromarray(pixels).save(tmp_path / "root" / name / f"{number}.png")
    data = load(prepare(DataConfig(source="folder", path=tmp_path / "root"), tmp_path / "cache"))
    assert data.std[1:] == (1 / 255, 1 / 255)
    assert data.mean[1] == pytest.approx(7 / 255)


def test_a_second_call_reuses_the_file(digits_file: Path) -> None:
    before = digits_file.stat()
    calls: list[int] = []
    assert prepare(DataConfig(), digits_file.parent, lambda done, total: calls.append(done)) == digits_file
    assert calls == []
    assert digits_file.stat().st_mtime_ns == before.st_mtime_ns
    assert list(digits_file.parent.iterdir()) == [digits_file]


def test_a_damaged_file_is_written_again(tmp_path: Path) -> None:
    config = DataConfig(limit=100)
    file = prepare(config, tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    with pytest.raises(DataError, match="is not a file of prepared images"):
        load(file)
    assert prepare(config, tmp_path) == file
    assert file.read_bytes() == whole


@pytest.mark.parametrize("fields", [{"seed": 1}, {"val_fraction": 0.3}, {"limit": 500}, {"image_size": 16}])
def test_another_configuration_is_another_file(fields: dict[str, object], digits_file: Path, tmp_path: Path) -> None:
    config = DataConfig.model_validate(fields)
    file = prepare(config, tmp_path)
    assert file.name != digits_file.name
    assert load(file).fingerprint != load(digits_file).fingerprint


def test_the_file_is_the_same_bytes_again(digits_file: Path, tmp_path: Path) -> None:
    assert prepare(DataConfig(), tmp_path).read_bytes() == digits_file.read_bytes()


def test_a_limit_is_stratified(few_digits: Dataset, digits: Dataset) -> None:
    splits = {name: getattr(few_digits, name) for name in ("train", "val", "test")}
    assert sum(len(split) for split in splits.values()) == 300
    counts = sum(torch.bincount(split.labels) for split in splits.values())
    total = sum(torch.bincount(split.labels) for split in (digits.train, digits.val, digits.test))
    assert (counts - total * 300 / 1797).abs().max() < 1


def test_a_limit_too_low_for_all_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="limit: must be at least 30, for every class needs an image in every split"):
        prepare(DataConfig(limit=29), tmp_path)
    assert min(torch.bincount(load(prepare(DataConfig(limit=30), tmp_path)).test.labels)) == 1


def test_the_split_depends_on_neither_names_nor_order(tmp_path: Path) -> None:
    numbers = list(range(20))
    first = write_images(tmp_path / "one", {"a": numbers, "b": [n + 100 for n in numbers]})
    second = write_images(tmp_path / "two", {"a": numbers[::-1], "b": [n + 100 for n in numbers[7:] + numbers[:7]]})
    one, two = (load(prepare(DataConfig(source="folder", path=p), tmp_path / "cache")) for p in (first, second))
    assert one.fingerprint == two.fingerprint
    for name in ("train", "val", "test"):
        assert torch.equal(getattr(one, name).images, getattr(two, name).images)
        assert torch.equal(getattr(one, name).labels, getattr(two, name).labels)
    other = load(prepare(DataConfig(source="folder", path=first, seed=1), tmp_path / "cache"))
    assert contents(other.val) != contents(one.val)


def test_equal_images_are_in_one_split_even_across_classes(tmp_path: Path) -> None:
    root = write_images(tmp_path / "root", {"a": [*range(30), 1, 1, 2, 3], "b": [*range(100, 130), 1, 2, 3, 4, 5]})
    data = load(prepare(DataConfig(source="folder", path=root), tmp_path / "cache"))
    splits = [{image for image, _ in contents(split)} for split in (data.train, data.val, data.test)]
    assert not splits[0] & splits[1]
    assert not splits[0] & splits[2]
    assert not splits[1] & splits[2]
    assert sum(len(split) for split in (data.train, data.val, data.test)) == 69


def test_a_test_part_is_the_test_split(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_images(root / "train", {"a": list(range(10)), "b": list(range(20, 30))})
    write_images(root / "test", {"a": [50, 51], "b": [60, 61, 62]})
    data = load(prepare(DataConfig(source="folder", path=root, test_fraction=0.7), tmp_path / "cache"))
    assert (len(data.train), len(data.val), len(data.test)) == (16, 4, 5)  # the test fraction has nothing to say
    expected = {
        (np.random.default_rng(n).integers(0, 256, (6, 6, 3), dtype=np.uint8).transpose(2, 0, 1).tobytes(), label)
        for n, label in [(50, 0), (51, 0), (60, 1), (61, 1), (62, 1)]
    }
    assert contents(data.test) == expected


def test_all_three_parts_are_taken_as_they_are(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_images(root / "train", {"a": [1], "b": [2]})
    write_images(root / "valid", {"a": [3], "b": [4]})
    write_images(root / "test", {"a": [5], "b": [6]})
    data = load(prepare(DataConfig(source="folder", path=root), tmp_path / "cache"))
    assert (len(data.train), len(data.val), len(data.test)) == (2, 2, 2)


@pytest.mark.parametrize("numbers", [[1, 2], [1, 1, 1, 2, 2]])
def test_a_class_too_small_for_the_split(numbers: list[int], tmp_path: Path) -> None:
    root = write_images(tmp_path / "root", {"a": numbers, "b": list(range(10, 20))})
    with pytest.raises(DataError, match=r"class 'a': has no image for the train split.*found 2"):
        prepare(DataConfig(source="folder", path=root), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_load_refuses_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load(tmp_path / "absent.safetensors")
    (tmp_path / "x.safetensors").write_text("no tensors")
    with pytest.raises(DataError, match="is not a file of prepared images"):
        load(tmp_path / "x.safetensors")


@pytest.mark.parametrize(("number", "kind"), [(errno.EIO, DiskError), (errno.EACCES, DataError)])
def test_a_file_that_cannot_be_read_is_not_taken_for_a_foreign_one(
    number: int, kind: type[DataError], digits_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("trainers.data.description.check_input", fail)
    with pytest.raises(DataError, match=rf"cannot be read \({os.strerror(number)}\)") as caught:
        describe(digits_file)
    assert type(caught.value) is kind


def test_to_device_keeps_everything(few_digits: Dataset) -> None:
    moved = few_digits.to("meta")
    assert moved.device.type == moved.test.labels.device.type == "meta"
    assert (moved.image_size, moved.fingerprint) == (few_digits.image_size, few_digits.fingerprint)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs the list of mappings that Linux gives")
def test_images_are_mapped_so_that_processes_share_them(digits_file: Path) -> None:
    data = load(digits_file)
    address = data.train.images.data_ptr()
    of_file = [
        line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(digits_file.name)
    ]
    bounds = [[int(end, 16) for end in fields[0].split("-")] for fields in of_file]
    assert any(low <= address < high for low, high in bounds)


def test_class_counts(tmp_path: Path) -> None:
    root = write_images(tmp_path / "root", {"a": list(range(10)), "b": list(range(20, 50))})
    file = prepare(DataConfig(source="folder", path=root), tmp_path / "cache")
    data = load(file)
    counts = {part: tuple(np.bincount(getattr(data, part).labels).tolist()) for part in ("train", "val", "test")}
    assert counts == {"train": (6, 18), "val": (2, 6), "test": (2, 6)}
    assert data.class_counts == (6, 18)
    assert describe(file).class_counts == counts


def test_a_full_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: TensorFile, rows: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(TensorFile, "write", full)
    with pytest.raises(
        DataError, match=r"cache/digits-\w+\.safetensors: cannot be read or written \(No space left on device\)"
    ):
        prepare(DataConfig(limit=100), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_prepare_holds_few_images_in_memory(tmp_path: Path) -> None:
    # 1,200 images of 64x64 RGB are 14 MB. Whatever Python and numpy allocate meanwhile has to be much less.
    for name in ("a", "b"):
        (tmp_path / "root" / name).mkdir(parents=True)
        for number in range(600):
            Image.new("RGB", (64, 64), (number % 256, number // 256, ord(name))).save(
                tmp_path / "root" / name / f"{number}.bmp"
            )
    config = DataConfig(source="folder", path=tmp_path / "root")
    prepare(DataConfig(limit=100), tmp_path / "cache")  # what is imported at first use
    tracemalloc.start()
    try:
        prepare(config, tmp_path / "cache")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 14.7e6 / 2


@pytest.mark.parametrize("rows", [slice(3, 9), torch.tensor([5, 0, 5, 2])])
def test_a_batch_is_picked(rows: slice | torch.Tensor, few_digits: Dataset) -> None:
    images, labels = few_digits.val.pick(rows)
    assert torch.equal(images, few_digits.val.images[rows])
    assert torch.equal(labels, few_digits.val.labels[rows])


def test_images_on_the_host_are_copied_batch_by_batch(few_digits: Dataset) -> None:
    train = few_digits.train
    apart = dataclasses.replace(few_digits, train=Split(train.images, train.labels.to("meta")))
    assert apart.device.type == "meta"
    assert apart.train.images.device.type == "cpu"
    images, labels = apart.train.pick(slice(0, 7))
    assert images.device.type == labels.device.type == "meta"
    assert images.shape == (7, *train.images.shape[1:])


@pytest.mark.parametrize(
    ("free", "images_bytes", "home"), [(100, 50, "cuda"), (100, 51, "cpu"), (900, 300, "cuda"), (900, 301, "cpu")]
)
def test_images_stay_on_the_host_where_a_gpu_has_too_little_memory(
    free: int, images_bytes: int, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 1000))
    assert data_module.images_device(images_bytes, torch.device("cuda"), share=0.3).type == home
    assert data_module.images_device(images_bytes, torch.device("cpu"), share=0.3).type == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_batches_are_the_same_wherever_the_images_are(digits_file: Path) -> None:
    here, there, host = load(digits_file), load(digits_file, "cuda"), load(digits_file, "cuda", share=0.0)
    assert (there.train.images.device.type, host.train.images.device.type) == ("cuda", "cpu")
    rows = torch.randperm(len(here.train))[:100]
    for data in (there, host):
        images, labels = data.train.pick(rows.to(data.train.images.device))
        assert images.device.type == labels.device.type == data.device.type == "cuda"
        assert torch.equal(images.cpu(), here.train.images[rows])
        assert torch.equal(labels.cpu(), here.train.labels[rows])


class TestCancel:
    """An error of the progress ends the work in any phase, and leaves no file."""

    @pytest.fixture
    def config(self, tmp_path: Path) -> DataConfig:
        """Two classes of 400 images: two blocks for digests, several for writing."""
        for name in ("a", "b"):
            (tmp_path / "root" / name).mkdir(parents=True)
            for number in range(400):
                pixels = np.random.default_rng([number, ord(name)]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "root" / name / f"{number}.png")
        return DataConfig(source="folder", path=tmp_path / "root")

    def test_progress_is_repeated_and_never_goes_backwards(self, config: DataConfig, tmp_path: Path) -> None:
        calls: list[tuple[int, int]] = []
        prepare(config, tmp_path / "cache", lambda done, total: calls.append((done, total)))
        assert calls == sorted(calls)
        assert calls.count((800, 800)) >= 1 + 4 + 3  # decoding, digests, splits

    def test_it_ends_in_each_phase(self, config: DataConfig, tmp_path: Path) -> None:
        calls = 0

        def count(done: int, total: int) -> None:
            nonlocal calls
            calls += 1

        prepare(config, tmp_path / "whole", count)
        for last in range(1, calls + 1):
            left = last

            def stop(done: int, total: int) -> None:
                nonlocal left
                left -= 1
                if not left:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                prepare(config, tmp_path / "cache", stop)
            assert list((tmp_path / "cache").iterdir()) == []
