from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from trainers.files import atomic_write
from trainers.training.checkpoint import (
    ASSUMED_SAVE_S,
    MAX_SAVE_SHARE,
    CheckpointSchedule,
    load,
    load_metadata,
    load_weights,
    reserve_weights,
    save,
    save_weights,
)


def test_round_trip(tmp_path: Path) -> None:
    state = {"w": torch.arange(6.0).view(2, 3), "history": [{"epoch": 1, "loss": 0.5}], "name": "x", "step": 7}
    save(tmp_path / "c.pt", state)
    back = load(tmp_path / "c.pt")
    assert back is not None
    assert torch.equal(back.pop("w"), state.pop("w"))
    assert back == state
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.pt"]


def test_no_file_is_none(tmp_path: Path) -> None:
    assert load(tmp_path / "c.pt") is None


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "c.pt"
    save(file, {"w": torch.arange(4.0)})
    whole = file.read_bytes()
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        assert load(file) is None, length
    file.write_bytes(whole)
    assert load(file) is not None


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "c.pt"
    save(file, {"w": torch.arange(4.0)})
    whole = file.read_bytes()
    for position in range(0, len(whole), 11):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        assert load(file) is None, position


def test_a_foreign_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "c.pt").write_bytes(pickle.dumps({"w": 1}))
    assert load(tmp_path / "c.pt") is None


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "c.pt"
    save(file, {"step": 1})

    def interrupted() -> None:
        with atomic_write(file) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert load(file) == {"step": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.pt"]


def test_weights_round_trip_with_shared_and_strided_tensors(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(1, 4, 3)).to(
        memory_format=torch.channels_last
    )
    module[2].weight = module[0].weight
    save_weights(tmp_path / "model.safetensors", module, {"id": "abc"})
    weights = load_weights(tmp_path / "model.safetensors")
    assert weights.keys() == module.state_dict().keys()
    assert all(torch.equal(weights[name], value) for name, value in module.state_dict().items())
    assert load_metadata(tmp_path / "model.safetensors") == {"id": "abc"}


def test_metadata_of_missing_and_damaged_files_is_empty(tmp_path: Path) -> None:
    assert load_metadata(tmp_path / "none") == {}
    (tmp_path / "torn").write_bytes(b"torn")
    assert load_metadata(tmp_path / "torn") == {}


def test_checkpoints_take_a_small_share_of_the_time() -> None:
    now = 100.0
    schedule = CheckpointSchedule((7,), clock=lambda: now)
    assert schedule.is_due(7)  # a milestone
    assert not schedule.is_due(8)
    now += 0.99 * ASSUMED_SAVE_S / MAX_SAVE_SHARE
    assert not schedule.is_due(8)
    now += 0.02 * ASSUMED_SAVE_S / MAX_SAVE_SHARE
    assert schedule.is_due(8)
    with schedule.saving():
        now += 3.0
    now += 599.0  # 3 s are 0.5 % of 600 s
    assert not schedule.is_due(9)
    now += 1.5
    assert schedule.is_due(9)


def test_weights_find_the_room_that_was_reserved_for_them(tmp_path: Path) -> None:
    module = nn.Linear(100, 100)
    file = tmp_path / "trials" / "model.safetensors"
    metadata = {"record": "x" * 200 * 3}  # of three epochs
    with reserve_weights(file, module, epochs=3):
        (temporary,) = file.parent.iterdir()
        reserved_bytes = temporary.stat().st_size
        save_weights(file, module, metadata)
    assert 4 * 10_100 < file.stat().st_size <= reserved_bytes
    assert torch.equal(load_weights(file)["weight"], module.weight)
    assert load_metadata(file) == metadata
    assert [entry.name for entry in file.parent.iterdir()] == ["model.safetensors"]
