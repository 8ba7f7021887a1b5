from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.auto_augment import rand_augment_transform
from torch import Tensor

from trainers.augment import TimmPolicy
from trainers.augment.placement import Placement
from trainers.augment.timm_policy import timm_transform
from trainers.errors import RecipeError

POLICIES = ("rand-m9-mstd0.5-inc1", "rand-m10-inc1", "v0", "originalr", "3a", "3augment", "augmix-m3-w3")


def images(count: int, channels: int) -> Tensor:
    return torch.randint(256, (count, channels, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", POLICIES)
def test_policies(policy: str, channels: int) -> None:
    augment = TimmPolicy.of(policy, (0.5,) * channels, (16, 16))
    before = images(60, channels)
    original = before.clone()
    one, two, other = (augment(before, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert one.shape == before.shape
    assert one.dtype == torch.uint8
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(before, original)


def test_an_image_is_what_timm_makes_of_it() -> None:
    """Without moving and mirroring; fills and ranges are those of timm's own loader."""
    mean = (0.2, 0.4, 0.6)
    augment = TimmPolicy("rand-m9", Placement(False, 0, 0), timm_transform("rand-m9", mean, (16, 16)))
    before = images(20, 3)
    found = augment(before, torch.Generator().manual_seed(3))
    seeds = torch.randint(2**32, (20,), generator=torch.Generator().manual_seed(3)).tolist()
    theirs = rand_augment_transform("rand-m9", {"translate_const": 7, "img_mean": (51, 102, 153)})
    for image, seed, result in zip(before, seeds, found, strict=True):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            expected = np.asarray(theirs(Image.fromarray(image.permute(1, 2, 0).numpy())))
        except ValueError:  # posterized to 0 bits
            continue
        assert np.array_equal(result.permute(1, 2, 0).numpy(), expected)


def test_the_global_generators_are_restored() -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    state = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]  # noqa: NPY002
    TimmPolicy.of("augmix-m3-w3", (0.5,), (16, 16))(images(3, 1), torch.Generator().manual_seed(0))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == state  # type: ignore[index,union-attr]  # noqa: NPY002


@pytest.mark.parametrize("policy", ["rnd-m9", "rand-z9", "augmix-q", "v7", "", "rand-mX"])
def test_unknown_policies_are_refused(policy: str) -> None:
    with pytest.raises(RecipeError, match=f"^augment: must be a policy of timm's .*found 'timm:{policy}'$"):
        TimmPolicy.of(policy, (0.5,) * 3, (16, 16))


def test_images_with_other_channels_are_refused() -> None:
    with pytest.raises(RecipeError, match="must not be timm's for images of 4 channels"):
        TimmPolicy.of("v0", (0.5,) * 4, (16, 16))
