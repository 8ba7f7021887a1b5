"""Mean attention distances by hand, and the weights of each layer against softmax(q k^T)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from statistics import mean

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.models.diagnose.attention_maps import AttentionCall, watch_attention
from nas.models.diagnose.diagnoses.attention import Attention
from nas.models.diagnose.registry import NotApplicable
from nas.models.diagnose.subject import DiagnosedModel, ImageSample
from search_space.modules.attention import ReducedAttention, SelfAttention, WindowAttention


def uniform_distance(rows: int, columns: int) -> float:
    """The mean distance of two positions of a map."""
    places = list(product(range(rows), range(columns)))
    return mean(((a - c) ** 2 + (b - d) ** 2) ** 0.5 for (a, b), (c, d) in product(places, places))


def make_uniform(module: nn.Module) -> None:
    """Queries of zero: every position attends to all alike."""
    for layer in module.modules():
        if isinstance(layer, SelfAttention | WindowAttention):
            width = layer.qkv.in_features
            nn.init.zeros_(layer.qkv.weight[:width])
            nn.init.zeros_(layer.qkv.bias[:width])
        if isinstance(layer, WindowAttention):
            nn.init.zeros_(layer.relative_position_bias_table)
        if isinstance(layer, ReducedAttention):
            nn.init.zeros_(layer.q.weight)
            nn.init.zeros_(layer.q.bias)


def distances_of(subject: DiagnosedModel, images: ImageSample) -> tuple[tuple[float, ...], ...]:
    return Attention().measure(subject, images, lambda passes: None).heads


def test_uniform_attention_has_the_mean_distance_of_all_pairs(
    subject_of: Callable[..., DiagnosedModel], images: ImageSample
) -> None:
    subject = subject_of({"name": "attention", "heads": 2}, depth=2)
    with torch.no_grad():
        make_uniform(subject.module)
    expected = 2 * uniform_distance(4, 4)  # a position is 2 pixels wide
    found = distances_of(subject, images)
    assert found == (pytest.approx((expected, expected)),) * 2


def test_a_window_reaches_no_further_than_itself(
    subject_of: Callable[..., DiagnosedModel], images: ImageSample
) -> None:
    subject = subject_of({"name": "attention", "heads": 2, "window": 2})
    with torch.no_grad():
        make_uniform(subject.module)
    expected = 2 * uniform_distance(2, 2)
    assert distances_of(subject, images) == (pytest.approx((expected, expected)),)
    shifted = subject_of({"name": "attention", "heads": 2, "window": 2, "shift": "always"})
    with torch.no_grad():
        make_uniform(shifted.module)
    (heads,) = distances_of(shifted, images)
    assert 0 < heads[0] < expected  # at the border the parts of a window must not attend to each other


def test_reduced_keys_lie_in_the_middle_of_their_patches(
    subject_of: Callable[..., DiagnosedModel], images: ImageSample
) -> None:
    subject = subject_of({"name": "attention", "heads": 2, "kv_reduction": 2})
    with torch.no_grad():
        make_uniform(subject.module)
    queries, keys = list(product(range(4), range(4))), list(product((0.5, 2.5), (0.5, 2.5)))
    pairs = product(queries, keys)
    expected = 2 * mean(((a - c) ** 2 + (b - d) ** 2) ** 0.5 for (a, b), (c, d) in pairs)
    assert distances_of(subject, images) == (pytest.approx((expected, expected)),)


def test_the_weights_are_those_of_the_definition(
    subject_of: Callable[..., DiagnosedModel], images: ImageSample
) -> None:
    subject = subject_of({"name": "attention", "heads": 2})
    calls: list[AttentionCall] = []
    seen: list[Tensor] = []
    layer = subject.module.stages[0].blocks[0].mixer  # type: ignore[index, union-attr]
    assert isinstance(layer, SelfAttention)
    hook = layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad(), watch_attention(subject.module, calls.append) as count:
        subject.logits(images.pixels[:3])
    hook.remove()
    (call,) = calls
    assert (count, call.layer) == (1, "stages.0.blocks.0.mixer")
    tokens = seen[0].flatten(2).transpose(1, 2)
    q, k, _ = F.linear(tokens, layer.qkv.weight, layer.qkv.bias).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
    assert torch.allclose(call.weights, (q @ k.transpose(-2, -1) / 2).softmax(dim=-1), atol=1e-6)
    assert call.distance[0, 5] == pytest.approx(2**0.5 / 4)  # (0, 0) to (1, 1), of a height of 4


class TokenTransformer(nn.Module):
    """A transformer with a class token, with the names of timm's, whose queries are zero."""

    num_prefix_tokens = 1

    class Attention(nn.Module):
        """Attention of one head over tokens."""

        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(4, 12)

        def forward(self, x: Tensor) -> Tensor:
            q, k, v = self.qkv(x).unsqueeze(1).chunk(3, dim=-1)
            return F.scaled_dot_product_attention(0 * q, k, v)[:, 0]

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, 4, 4, stride=4)
        self.patch_embed.grid_size = (2, 2)  # type: ignore[assignment]
        self.attn = self.Attention()

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch_embed(x).flatten(2).transpose(1, 2)
        return self.attn(torch.cat((tokens.mean(dim=1, keepdim=True), tokens), dim=1))[:, 0, :3]


def test_class_tokens_are_left_out(images: ImageSample) -> None:
    subject = DiagnosedModel("tokens", TokenTransformer().eval(), (0.0,) * 3, (1.0,) * 3)
    assert distances_of(subject, images) == (pytest.approx((4 * uniform_distance(2, 2),)),)


def test_a_network_without_attention_is_told_apart(
    subject_of: Callable[..., DiagnosedModel], images: ImageSample
) -> None:
    with pytest.raises(NotApplicable, match="no layer of attention"):
        distances_of(subject_of("conv"), images)
