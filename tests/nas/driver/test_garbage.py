"""The heap of a driver."""

from __future__ import annotations

import gc

from nas.driver.garbage import frozen_heap


def test_what_exists_is_left_out_of_garbage_collection_until_the_end_of_the_block() -> None:
    with frozen_heap():
        assert gc.get_freeze_count() > 1000
    assert gc.get_freeze_count() == 0
