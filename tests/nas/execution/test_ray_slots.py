"""Which worker gets which task."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nas.execution.executors.ray_tune import slots as module
from nas.execution.executors.ray_tune.slots import WorkerSlots


def key(slot: int) -> Any:
    return SimpleNamespace(slot=slot)


def test_an_idle_worker_gets_the_next_task_before_a_new_one_is_started() -> None:
    busy: set[int] = set()
    slots = WorkerSlots(lambda: busy)
    chosen = []
    for taken in ((), (0,), (1, 3)):
        busy.update(taken)
        chosen.append(slots.choices()[0])
    assert chosen == [0, 1, 2]
    assert slots.cache_object(key(2), "worker")
    busy -= {0, 3}
    assert slots.choices()[0] == 2
    assert slots.has_cached_object(key(2))
    assert slots.pop_cached_object(key(2)) == "worker"
    assert slots.choices()[0] == 0


def test_a_worker_keeps_its_slot_while_there_is_room_for_another() -> None:
    busy = {1}
    slots = WorkerSlots(lambda: busy)
    slots.limit = 2
    slots.cache_object(key(0), "worker")
    assert not slots.has_cached_object(key(1))
    busy.add(0)  # with its next task, which its worker has not received yet
    assert not slots.has_cached_object(key(1))
    busy.discard(0)
    slots.limit = 1  # a node was lost
    assert slots.has_cached_object(key(1))
    assert slots.pop_cached_object(key(1)) == "worker"
    assert not slots.has_cached_object(key(0))


def test_a_broken_worker_is_not_kept() -> None:
    slots = WorkerSlots()
    slots.discard(0)
    assert not slots.cache_object(key(0), "broken")
    assert slots.cache_object(key(0), "its successor")


def test_workers_are_released_when_they_were_idle_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    slots = WorkerSlots()
    slots.cache_object(key(0), "first")
    now += module.MAX_IDLE_S
    slots.cache_object(key(1), "second")
    assert list(slots.flush_cached_objects()) == []
    now += 1.0
    assert list(slots.flush_cached_objects()) == ["first"]
    assert slots.num_cached_objects == 1
    assert list(slots.flush_cached_objects(force_all=True)) == ["second"]


def test_a_task_is_offered_to_an_idle_worker_of_each_device_and_then_to_a_new_one() -> None:
    slots = WorkerSlots()
    slots.limit = 4
    for slot, device in enumerate(["cuda A10", "cuda A10", "cuda H100"]):
        slots.learn(slot, device)
        slots.cache_object(key(slot), device)
    assert slots.choices() == [0, 2, 3]
    slots.limit = 3
    assert slots.choices() == [0, 2]
    assert slots.pop_cached_object(key(2)) == "cuda H100"
    slots.forget(2)  # it has died
    assert slots.choices() == [0, 2]
    assert slots.devices.get(2) is None
