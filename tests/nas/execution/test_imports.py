"""Imports of a worker without garbage collection."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from nas.execution.imports import without_garbage_collection


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
