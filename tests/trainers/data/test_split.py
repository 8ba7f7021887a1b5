"""The split, under hypothesis and against counts worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from trainers.data.limit import allot
from trainers.data.split import assign, check_every_class, digest_all
from trainers.data.types import LabeledImages
from trainers.errors import DataError

SHARES = {"val": 0.2, "test": 0.2}


def keys_of(numbers: list[int]) -> list[bytes]:
    return [number.to_bytes(4, "big") for number in numbers]


def test_a_fifth_each_of_ten() -> None:
    places = assign(keys_of(list(range(10))), np.zeros(10, np.int64), SHARES)
    assert places == ["val"] * 2 + ["test"] * 2 + ["train"] * 6  # in the order of the keys


def test_three_images_are_one_each() -> None:
    places = assign(keys_of([5, 9, 7]), np.zeros(3, np.int64), {"val": 0.45, "test": 0.45})
    assert places == ["val", "train", "test"]


def test_copies_do_not_starve_a_split() -> None:
    # Eight copies of image 1 are the first key: they all go to val, and 2 and 3 must still reach test and train.
    places = assign(keys_of([1] * 8 + [2, 3]), np.zeros(10, np.int64), SHARES)
    assert places == ["val"] * 8 + ["test", "train"]


def test_images_of_an_earlier_class_count_where_they_are() -> None:
    # Images 1..10 are of class 0: val 1 2, test 3 4. Images 1 and 2 are of class 1 too, and are its two of val.
    keys = keys_of([*range(1, 11), 1, 2, *range(11, 19)])
    places = assign(keys, np.repeat([0, 1], 10), SHARES)
    assert places[:10] == ["val"] * 2 + ["test"] * 2 + ["train"] * 6
    assert places[10:] == ["val"] * 2 + ["test"] * 2 + ["train"] * 6


def test_without_shares_all_images_are_trained_on() -> None:
    assert assign(keys_of([3, 1, 2]), np.zeros(3, np.int64), {}) == ["train"] * 3


@settings(max_examples=150)
@given(
    images=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), min_size=1, max_size=120),
    val=st.floats(0.05, 0.6),
    test=st.floats(0.05, 0.35),
    order=st.randoms(use_true_random=False),
)
def test_properties_of_the_split(images: list[tuple[int, int]], val: float, test: float, order: object) -> None:
    shares = {"val": val, "test": test}
    keys, labels = keys_of([i for i, _ in images]), np.array([label for _, label in images])
    places = assign(keys, labels, shares)
    # Equal images are in the same split.
    assert all(len({p for p, k in zip(places, keys, strict=True) if k == key}) == 1 for key in keys)
    # The order of the images means nothing.
    shuffled = list(range(len(images)))
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    again = assign([keys[i] for i in shuffled], labels[shuffled], shares)
    assert again == [places[i] for i in shuffled]
    # A class with three images of its own is in every split.
    for label in set(labels.tolist()):
        own = [i for i in range(len(keys)) if labels[i] == label]
        others = {keys[i] for i in range(len(keys)) if labels[i] < label}
        fresh = {keys[i] for i in own} - others
        if len(fresh) >= 3:
            assert {places[i] for i in own} == {"train", "val", "test"}
        # Without copies the counts are the nearest whole numbers, where those leave something to train on.
        if len(fresh) == len(own) >= 20 and val + test < 0.8:
            assert sum(places[i] == "val" for i in own) == int(len(own) * val + 0.5)
            assert sum(places[i] == "test" for i in own) == int(len(own) * test + 0.5)


@settings(max_examples=150)
@given(counts=st.lists(st.integers(1, 50), min_size=1, max_size=8), share=st.floats(0.0, 1.0))
def test_properties_of_the_allotment(counts: list[int], share: float) -> None:
    at_least = [min(count, 3) for count in counts]
    limit = max(sum(at_least), int(share * sum(counts)))
    kept = allot(counts, limit, at_least)
    assert sum(kept) == limit
    assert all(low <= k <= count for low, k, count in zip(at_least, kept, counts, strict=True))
    if all(limit * count / sum(counts) >= low for low, count in zip(at_least, counts, strict=True)):
        assert all(abs(k - limit * count / sum(counts)) < 1 for k, count in zip(kept, counts, strict=True))


def test_allotment_by_hand() -> None:
    # 10 of 70 + 20 + 10: exact shares 7, 2, 1. 11 of them: 7.7, 2.2, 1.1, so the first has the largest remainder.
    assert allot([70, 20, 10], 10, [1, 1, 1]) == [7, 2, 1]
    assert allot([70, 20, 10], 11, [1, 1, 1]) == [8, 2, 1]
    assert allot([90, 5, 5], 10, [3, 3, 3]) == [4, 3, 3]


def test_a_limit_below_one_image_for_each_class_and_split_is_refused() -> None:
    with pytest.raises(DataError, match=r"limit: must be at least 9, .*, found 8"):
        allot([70, 20, 10], 8, [3, 3, 3])


def test_digests_see_pixels_shape_and_seed() -> None:
    images = np.zeros((3, 1, 2, 8), np.uint8)
    images[2, 0, 1, 7] = 1
    labels = np.zeros(3, np.int64)
    first = digest_all(LabeledImages(images, labels), seed=0)
    assert first[0] == first[1] != first[2]
    assert digest_all(LabeledImages(images, labels), seed=1)[0] != first[0]
    assert digest_all(LabeledImages(images.reshape(3, 1, 4, 4), labels), seed=0)[0] != first[0]


def test_a_missing_class_is_named() -> None:
    with pytest.raises(DataError, match=r"class 'dog': has no image for the val split.*found 2"):
        check_every_class(np.array([0, 0, 2]), "val", ("cat", "dog", "fox"), [9, 2, 9])


def test_all_missing_classes_are_named_with_their_images() -> None:
    rule = (
        r"^2 classes: have no image for the train split \(3 broken .* left out\); a class needs a different image .*, or "
        r"leave them out \(data.classes, source folder\); their different images are 'cat' 1, 'fox' 2$"
    )
    with pytest.raises(DataError, match=rule):
        check_every_class(np.array([1, 1]), "train", ("cat", "dog", "fox"), [1, 9, 2], 3)


def test_of_many_missing_classes_the_first_are_named() -> None:
    names = [f"c{number}" for number in range(20)]
    with pytest.raises(DataError, match=r"^19 classes: have .* are 'c1' 1, 'c2' 2, .*'c8' 8, \.\.\.$"):
        check_every_class(np.array([0]), "train", names, list(range(20)))
