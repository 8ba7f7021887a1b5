"""timm's own readers on small data sets, written in the layouts of their publishers."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from trainers.data import sources
from trainers.data.config import DataConfig
from trainers.data.dataset import load
from trainers.data.description import describe
from trainers.data.prepared import prepare
from trainers.data.sources import timm
from trainers.data.types import DecodedData, ReadContext
from trainers.errors import DataError


def picture(seed: int, mode: str = "RGB") -> Image.Image:
    """Random pixels, 8x8."""
    shape = (8, 8, 3) if mode == "RGB" else (8, 8)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def write(root: Path, folders: dict[str, int], mode: str = "RGB") -> Path:
    """Write folders with the given number of PNGs, all different."""
    seed = 0
    for folder, count in folders.items():
        (root / folder).mkdir(parents=True)
        for number in range(count):
            seed += 1
            picture(seed, mode).save(root / folder / f"{number:03d}.png")
    return root


def read(source: str, path: Path | None, **fields: object) -> DecodedData:
    """Decode the data set that timm calls `source`."""
    config = DataConfig.model_validate({"source": source, "path": path, **fields})
    return sources.get(source).locate(config).read(ReadContext())


def write_mnist(root: Path, counts: dict[str, int]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Write MNIST's idx files in torchvision's layout: big-endian magic number, sizes, bytes."""
    rng = np.random.default_rng(0)
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    written = {}
    for name, count in counts.items():
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        header = np.array([0x803, count, 28, 28], ">i4").tobytes()
        (folder / f"{name}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(np.array([0x801, count], ">i4").tobytes() + labels.tobytes())
        written[name] = images, labels
    return written


@pytest.mark.parametrize("source", ["timm", "torch/image_folder"])
def test_a_folder_equals_that_of_the_native_source(source: str, tmp_path: Path) -> None:
    layout = {f"{part}/{name}": 4 for part in ("train", "val", "test") for name in ("cat", "dog")}
    root = write(tmp_path / "pets", layout, "L")
    ours, theirs = read("folder", root), read(source, root)
    assert theirs.class_names == ours.class_names == ("cat", "dog")
    assert list(theirs.parts) == ["train", "val", "test"]
    for part, pictures in ours.parts.items():
        np.testing.assert_array_equal(theirs.parts[part].images, pictures.images)
        np.testing.assert_array_equal(theirs.parts[part].labels, pictures.labels)
    assert theirs.name == ("pets" if source == "timm" else source)


@pytest.mark.parametrize("source", ["timm", "torch/folder"])
def test_a_broken_file_is_named_or_left_out(source: str, tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"cat": 6, "dog": 6})
    (root / "dog" / "002.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"dog/002.png: is not an image that can be decoded"):
        read(source, root)
    decoded = read(source, root, on_error="skip")
    assert np.bincount(decoded.parts["train"].labels).tolist() == [6, 5]
    assert [Path(line.partition(":")[0]).name for line in decoded.skipped] == ["002.png"]


def test_an_archive(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"cat": 3, "dog": 4})
    with tarfile.open(tmp_path / "pets.tar", "w") as archive:
        archive.add(root / "cat", "cat")
        archive.add(root / "dog", "dog")
    ours, theirs = read("folder", root), read("timm", tmp_path / "pets.tar")
    assert theirs.class_names == ("cat", "dog")
    np.testing.assert_array_equal(theirs.parts["train"].images, ours.parts["train"].images)
    np.testing.assert_array_equal(theirs.parts["train"].labels, ours.parts["train"].labels)


def test_a_broken_image_in_an_archive_is_named(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"cat": 3, "dog": 3})
    (root / "dog" / "001.png").write_bytes(b"no image")
    with tarfile.open(tmp_path / "pets.tar", "w") as archive:
        archive.add(root, ".")
    with pytest.raises(DataError, match=r"001.png: is not an image that can be decoded"):
        read("timm", tmp_path / "pets.tar")


def test_a_torchvision_data_set(tmp_path: Path) -> None:
    written = write_mnist(tmp_path / "data", {"train": 40, "t10k": 20})
    config = DataConfig(source="torch/mnist", path=tmp_path / "data")
    file = prepare(config, tmp_path / "cache")
    about = describe(file)
    assert (about.name, about.in_chans, about.image_size, about.default_augment) == (
        "torch/mnist",
        1,
        (28, 28),
        "shift",
    )
    assert about.class_names[:2] == ("0 - zero", "1 - one")
    assert about.counts == {"train": 30, "val": 10, "test": 20}
    data = load(file)
    images, labels = written["t10k"]
    expected = {(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)}
    found = zip(data.test.images, data.test.labels, strict=True)
    assert {(image.numpy().tobytes(), int(label)) for image, label in found} == expected
    calls: list[int] = []
    assert prepare(config, tmp_path / "cache", lambda done, total: calls.append(done)) == file
    assert calls == []


def test_splits_by_their_names(tmp_path: Path) -> None:
    write_mnist(tmp_path, {"train": 40, "t10k": 20})
    decoded = read("torch/mnist", tmp_path, splits={"train": "validation"})
    assert {part: len(pictures) for part, pictures in decoded.parts.items()} == {"train": 20}


def test_a_split_that_timm_replaces_by_the_whole_folder(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"cat": 3, "dog": 3})
    with pytest.raises(DataError, match="splits: must differ; 'test' has the same images as 'train'"):
        read("timm", root, splits={"train": "train", "test": "test"})


@pytest.mark.parametrize("source", ["timm", "torch/image_folder"])
@pytest.mark.parametrize("names", [("Train", "Val", "Test"), ("training_set", "dev", "test_set")])
def test_parts_that_timm_does_not_know(names: tuple[str, str, str], source: str, tmp_path: Path) -> None:
    root = write(tmp_path / "root", {f"{part}/{name}": 3 for part in names for name in ("cat", "dog")})
    decoded = read(source, root)
    assert {part: len(pictures) for part, pictures in decoded.parts.items()} == {"train": 6, "val": 6, "test": 6}
    assert decoded.summaries["val"].formats == {"PNG": 6}
    assert decoded.class_names == ("cat", "dog")
    (root / "tr" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match=r"root: has two folders for the train split, found \['.+', '.+'\]"):
        read(source, root)


def test_names_that_timm_takes_for_equal(tmp_path: Path) -> None:
    root = write(
        tmp_path / "root", {f"{part}/{name}": 3 for part in ("train", "test") for name in ("b", "cat", "Cat", "CAT")}
    )
    ours, theirs = read("folder", root), read("timm", root)
    assert theirs.class_names == ours.class_names == ("b", "CAT", "Cat", "cat")
    for part, pictures in ours.parts.items():
        expected = {
            (image.tobytes(), int(label)) for image, label in zip(pictures.images, pictures.labels, strict=True)
        }
        found = zip(theirs.parts[part].images, theirs.parts[part].labels, strict=True)
        assert {(image.tobytes(), int(label)) for image, label in found} == expected


@pytest.mark.parametrize("source", ["timm", "torch/image_folder"])
def test_files_that_timm_does_not_list_are_counted(source: str, tmp_path: Path) -> None:
    root = write(tmp_path / "root", {f"{part}/{name}": 3 for part in ("train", "test") for name in ("cat", "dog")})
    picture(99).save(root / "train" / "cat" / "more.gif")
    (root / "train" / "dog" / "notes.txt").write_text("x")
    (root / "test" / "dog" / "list").write_text("x")
    assert [(record.part, record.reason, record.names) for record in read(source, root).passed_over] == [
        ("test", "file without a suffix, which timm does not list", ("test/dog/list",)),
        ("train", "file of type .gif, which timm does not list", ("train/cat/more.gif",)),
        ("train", "file of type .txt, which timm does not list", ("train/dog/notes.txt",)),
    ]


def test_splits_with_different_classes(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"train/cat": 3, "train/dog": 3, "test/cat": 3, "test/fox": 3})
    with pytest.raises(
        DataError, match="splits: must have the same classes; those of 'test' differ from those of 'train'"
    ):
        read("timm", root)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("torch/mnist", r"timm cannot open the split 'train' \(Dataset not found.*`download: true` fetches"),
        ("torch/imagnet", r"torch/imagnet: timm cannot open the split 'train' \(Unknown torchvision dataset imagnet"),
        ("timm", r"timm cannot open the split 'train' \(Found 0 images"),
    ],
)
def test_what_timm_cannot_open(source: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        read(source, tmp_path)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent: no such folder"):
        read("torch/mnist", tmp_path / "absent")


@pytest.mark.parametrize("source", ["hfds/a", "hfids/a", "tfds/a", "wds/a"])
def test_a_missing_package_is_named(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "find_spec", lambda name: None)
    package = timm.PACKAGES[source.partition("/")[0]][0].replace("_", "-")
    with pytest.raises(DataError, match=rf"source: is read with the package {package}, .*`pip install {package}`"):
        read(source, tmp_path)


@pytest.mark.parametrize("source", ["torch/image_folder", "torch/folder"])
def test_a_folder_that_does_not_exist_is_not_downloaded(source: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: no such folder; no folder is downloaded"):
        read(source, tmp_path / "absent", download=True)


def test_commands_instead_of_shards_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "find_spec", lambda name: name)
    with pytest.raises(DataError, match="splits: must name shards that are files, not commands"):
        read("wds/a", tmp_path, splits={"train": "pipe:touch x.tar"})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"source": "torch/cifar10"}, "path: source 'torch/cifar10' reads from a folder, so its path has to be given"),
        ({"source": "torch/"}, "no such data source"),
        ({"source": "trch/cifar10"}, "no such data source"),
        ({"source": "digits", "download": True}, "download: source 'digits' has no such option, found True"),
        ({"source": "folder", "path": "x", "splits": {"train": "a"}}, "splits: source 'folder' has no such option"),
        (
            {"source": "torch/mnist", "path": "x", "input_key": "img"},
            "input_key: source 'torch/mnist' has no such option",
        ),
        ({"source": "hfds/a", "splits": {"test": "test"}}, "splits: must name the train split"),
        ({"source": "hfds/a", "splits": {"trian": "test"}}, "'train', 'val' or 'test'"),
    ],
)
def test_configurations_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DataConfig.model_validate(fields)


def write_shards(root: Path, broken: bool) -> None:
    """Two WebDataset shards of ten images: `KEY.png` and `KEY.cls` one after another in a tar."""
    root.mkdir()
    for shard in range(2):
        with tarfile.open(root / f"pets-train-{shard:04d}.tar", "w") as archive:
            for number in range(5 * shard, 5 * shard + 5):
                stream = io.BytesIO()
                picture(number).save(stream, "png")
                image = b"no image" if broken and number == 7 else stream.getvalue()
                for suffix, content in (("png", image), ("cls", str(number % 2).encode())):
                    member = tarfile.TarInfo(f"{number:03d}.{suffix}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))


@pytest.mark.skipif(importlib.util.find_spec("webdataset") is None, reason="webdataset is not installed")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset leaves a shard open
def test_shards(tmp_path: Path) -> None:
    fields = {"splits": {"train": "pets-train-{0000..0001}.tar|10"}}
    write_shards(tmp_path / "whole", broken=False)
    train = read("wds/pets", tmp_path / "whole", **fields).parts["train"]
    assert train.labels.tolist() == [0, 1] * 5
    for number, image in enumerate(train.images):
        np.testing.assert_array_equal(image, np.asarray(picture(number)).transpose(2, 0, 1))
    write_shards(tmp_path / "broken", broken=True)
    with pytest.raises(DataError, match=r"wds/pets train: holds an image that cannot be read: .*cannot identify image"):
        read("wds/pets", tmp_path / "broken", **fields)
    left_out = read("wds/pets", tmp_path / "broken", on_error="skip", **fields)
    assert left_out.parts["train"].labels.tolist() == [0, 1, 0, 1, 0, 1, 0, 0, 1]
    assert len(left_out.skipped) == 1


@pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason="datasets is not installed")
@pytest.mark.parametrize("kind", ["hfds", "hfids"])
def test_a_hugging_face_folder(kind: str, tmp_path: Path) -> None:
    layout = {f"{part}/{name}": 4 for part in ("train", "test") for name in ("cat", "dog")}
    root = write(tmp_path / "pets", layout)
    fields = {"splits": {"train": "train", "test": "test"}, "path": tmp_path / "cache"}
    if kind == "hfids":
        (tmp_path / "cache").mkdir()
    config = DataConfig.model_validate({"source": f"{kind}/{root}", "download": True, **fields})
    decoded = sources.get(config.source).locate(config).read(ReadContext())
    ours = read("folder", root)
    assert decoded.class_names == ("cat", "dog")
    for part, pictures in ours.parts.items():
        np.testing.assert_array_equal(decoded.parts[part].images, pictures.images)
        np.testing.assert_array_equal(decoded.parts[part].labels, pictures.labels)


def test_timm_is_imported_only_to_decode(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"cat": 5, "dog": 5})
    prepare(DataConfig(source="timm", path=root), tmp_path / "cache")
    code = (
        "import sys; from pathlib import Path; from trainers.data.config import DataConfig; "
        "from trainers.data.prepared import prepare; "
        f"prepare(DataConfig(source='timm', path=Path({str(root)!r})), Path({str(tmp_path / 'cache')!r})); "
        "sys.exit(str({'timm', 'torch', 'torchvision'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
