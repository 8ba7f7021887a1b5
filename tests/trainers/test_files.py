"""Files written in one pass and read by safetensors itself; arrays that grow on disk; atomic writes."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from safetensors import safe_open

from trainers.disk import disk_errors
from trainers.errors import DataError, DiskError
from trainers.files import atomic_folder, atomic_write, remove_temporary_files, reserve, write_reserved
from trainers.input_files import IrregularFileError, open_regular
from trainers.tensor_file import RESERVED_METADATA_BYTES, Scratch, TensorFile


@settings(max_examples=30)
@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    piece=st.integers(1, 50),
    text=st.text(max_size=300),
)
def test_tensors_round_trip(counts: list[int], piece: int, text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("files") / "x.safetensors"
    rng = np.random.default_rng(0)
    arrays = {f"{i}.labels": rng.integers(-9, 9, count) for i, count in enumerate(counts)}
    arrays |= {f"{i}.images": rng.integers(0, 256, (count, 3, 2, 5), dtype=np.uint8) for i, count in enumerate(counts)}
    with file.open("wb") as stream:
        tensors = TensorFile(stream, {name: (array.dtype, array.shape) for name, array in arrays.items()}, 0)
        for array in arrays.values():
            for start in range(0, len(array), piece):
                tensors.write(array[start : start + piece])
        tensors.finish({"about": json.dumps(text)})
    with safe_open(file, framework="numpy") as content:
        assert json.loads(content.metadata()["about"]) == text
        assert set(content.keys()) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(content.get_tensor(name), array)


def test_missing_rows_and_too_long_metadata_are_refused(tmp_path: Path) -> None:
    shapes = {"x": (np.dtype(np.uint8), (4, 2))}
    with (tmp_path / "short").open("wb") as stream:
        tensors = TensorFile(stream, shapes, 0)
        tensors.write(np.zeros((3, 2), np.uint8))
        with pytest.raises(ValueError, match=r"the tensors must end at byte \d+, found \d+"):
            tensors.finish({})
        tensors.write(np.zeros((1, 2), np.uint8))
        with pytest.raises(ValueError, match=r"the header must fit into \d+ bytes, found \d+"):
            tensors.finish({"long": "x" * (RESERVED_METADATA_BYTES + 100)})
        tensors.finish({"long": "x" * 100})


def test_scratch_grows_on_disk_and_leaves_nothing(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    rows = [np.full((2, 3), number, np.uint8) for number in range(100)]
    for row in rows:
        scratch.append(row)
    array = scratch.array()
    scratch.close()
    np.testing.assert_array_equal(array, np.stack(rows))
    assert list(tmp_path.iterdir()) == []
    empty = Scratch(None)
    assert empty.array().shape == (0,)
    empty.close()


def test_an_error_of_the_disk_names_the_file_or_the_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent: cannot be read or written \(No such file"), disk_errors(tmp_path):
        (tmp_path / "absent").read_bytes()
    with pytest.raises(DataError, match=rf"{tmp_path}: cannot be read or written \(full\)"), disk_errors(tmp_path):
        raise OSError("full")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("old")
    with pytest.raises(FileNotFoundError), atomic_write(file) as temporary:
        temporary.with_name("gone").read_bytes()
    with pytest.raises(FileNotFoundError), atomic_write(file):
        pass  # nothing was written
    assert file.read_text() == "old"
    with atomic_write(file) as temporary:
        temporary.write_text("new")
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_an_array_in_a_scratch_file_is_replaced(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    for value in range(5):
        scratch.append(np.full((2, 3), value, np.uint8))
    scratch.replace(3, np.full((2, 3), 77, np.uint8))
    scratch.append(np.full((2, 3), 5, np.uint8))
    assert scratch.array()[:, 0, 0].tolist() == [0, 1, 2, 77, 4, 5]
    scratch.close()


def test_a_failed_write_names_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "x"

    def write_half() -> None:
        with atomic_write(file) as temporary:
            temporary.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")  # as a failed write, which names no file

    with pytest.raises(OSError, match="No space left on device: ") as error:
        write_half()
    assert error.value.filename == str(file)
    with pytest.raises(FileNotFoundError) as missing, atomic_write(tmp_path / "none" / "x") as temporary:
        temporary.write_bytes(b"x")
    assert missing.value.filename == str(tmp_path / "none" / "x")  # not the temporary file
    assert list(tmp_path.iterdir()) == []


def test_reserved_room_is_used_and_freed(tmp_path: Path) -> None:
    file = tmp_path / "x"
    with reserve(file, 100_000):
        (temporary,) = tmp_path.iterdir()
        assert temporary.stat().st_size == 100_000
        with atomic_write(file) as same:
            assert same == temporary
            write_reserved(same, b"short")
        assert file.read_bytes() == b"short"
    with reserve(file, 1000):
        pass  # the work failed
    with pytest.raises(OSError, match="reserved") as error, reserve(tmp_path / "other", 10):
        raise OSError(errno.EIO, "reserved")  # of the block itself, unchanged
    assert error.value.filename is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def test_room_that_is_not_there_is_an_error_and_a_file_system_without_reservation_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(number: int) -> None:
        def allocate(*arguments: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "posix_fallocate", allocate)

    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        fail(number)
        with pytest.raises(OSError, match="x") as error, reserve(tmp_path / "x", 10):
            pass
        assert (error.value.errno, error.value.filename) == (number, str(tmp_path / "x"))
    for number in (errno.EOPNOTSUPP, errno.EINVAL):
        fail(number)
        with reserve(tmp_path / "x", 10), atomic_write(tmp_path / "x") as temporary:
            write_reserved(temporary, b"content")
        assert (tmp_path / "x").read_bytes() == b"content"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    for name in (".x.pt.123.tmp", "x.pt", ".hidden"):
        (tmp_path / name).touch()
    remove_temporary_files(tmp_path)
    remove_temporary_files(tmp_path / "none")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".hidden", "x.pt"]


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, DiskError), (errno.EIO, DiskError), (errno.EACCES, DataError)]
)
def test_a_full_or_broken_disk_is_told_from_other_errors(tmp_path: Path, number: int, kind: type[DataError]) -> None:
    with pytest.raises(DataError) as error, disk_errors(tmp_path):
        raise OSError(number, os.strerror(number))
    assert type(error.value) is kind


def test_a_folder_is_filled_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "model"

    def write(fails: bool) -> None:
        with atomic_folder(folder) as draft:
            (draft / "a").write_text("new")
            if fails:
                raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write(fails=True)
    assert not folder.parent.exists()
    folder.mkdir(parents=True)
    for name in ("a", "kept"):
        (folder / name).write_text("old")
    with pytest.raises(OSError, match="No space"):
        write(fails=True)
    assert (folder / "a").read_text() == "old"
    write(fails=False)
    assert {file.name: file.read_text() for file in folder.iterdir()} == {"a": "new", "kept": "old"}
    assert list(folder.parent.iterdir()) == [folder]


def test_what_killed_processes_left_of_a_folder_is_removed(tmp_path: Path) -> None:
    """One is killed, another one is still writing."""
    program = "import sys, time\nfrom pathlib import Path\nfrom trainers.files import atomic_folder\n"
    program += "with atomic_folder(Path(sys.argv[1])) as draft, atomic_folder(draft):\n    print(flush=True)\n    time.sleep(60)"

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "model")], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    killed = start()
    killed.kill()
    killed.communicate()
    assert len(list(tmp_path.iterdir())) == 2
    (tmp_path / ".other.1.tmp").mkdir()
    writing = start()
    try:
        of_writing = [f".model.{writing.pid}.tmp", f"..model.{writing.pid}.tmp.{writing.pid}.tmp"]
        with atomic_folder(tmp_path / "model") as draft:
            (draft / "a").touch()
        assert {path.name for path in tmp_path.iterdir()} == {"model", ".other.1.tmp", *of_writing}
    finally:
        writing.kill()
        writing.communicate()


def test_a_link_at_the_name_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("kept")
    (tmp_path / f".file.{os.getpid()}.tmp").symlink_to("other")
    with reserve(tmp_path / "file", 10), atomic_write(tmp_path / "file") as temporary:
        temporary.write_text("new")
    (tmp_path / f".file.{os.getpid()}.tmp").symlink_to("other")
    with atomic_write(tmp_path / "file") as temporary:
        temporary.write_text("newer")
    assert (tmp_path / "file").read_text() == "newer"
    assert (tmp_path / "other").read_text() == "kept"


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder").mkdir()
    for name, kind in (("pipe", "a pipe"), ("link", "a link"), ("folder", "a folder")):
        with pytest.raises(IrregularFileError, match=f"must be a regular file, found {kind}"):
            open_regular(tmp_path / name, os.O_RDWR | os.O_CREAT)
    assert not (tmp_path / "file").exists()
    descriptor = open_regular(tmp_path / "file", os.O_RDWR | os.O_CREAT, 0o600)
    os.close(descriptor)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
