"""Objects that are left out of garbage collection: those of the imports of a worker, and those of a driver."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from nas.execution.garbage_collection import frozen_heap, without_garbage_collection


@pytest.fixture(autouse=True)
def _heap() -> Iterator[None]:
    frozen = gc.get_freeze_count()
    yield
    if gc.get_freeze_count() > frozen:
        gc.unfreeze()


def test_garbage_is_collected_again_after_imports() -> None:
    frozen = gc.get_freeze_count()
    with without_garbage_collection():
        assert not gc.isenabled()
        kept = [[] for _ in range(1000)]  # type: ignore[var-annotated]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= frozen + len(kept)


def test_garbage_is_collected_again_after_an_error() -> None:
    with pytest.raises(ImportError), without_garbage_collection():
        raise ImportError
    assert gc.isenabled()


def test_what_exists_is_left_out_of_garbage_collection_until_the_end_of_the_block() -> None:
    with frozen_heap():
        assert gc.get_freeze_count() > 1000
    assert gc.get_freeze_count() == 0
