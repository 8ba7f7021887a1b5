"""The state of a network survives every operation of timm's interface, in every order.

What a user froze, hooked, cast, tied or put into evaluation mode stays so; the description stays that of the network.
"""

from __future__ import annotations

import copy
import math
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, cast

import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from torch import nn
from torch.nn.utils import parametrize, prune

from search_space import Architecture, build, cost
from search_space.errors import SpaceError
from search_space.mixers import MIXERS
from search_space.modules.network import Network

SIZES: tuple[tuple[int, int], ...] = ((8, 12), (16, 16), (12, 8))
STEM = {"patch": 2, "pos_embed": True}

MIXER_OPTIONS: dict[str, list[dict[str, Any]]] = {
    "afno": [{"num_blocks": 2, "hard_thresholding_fraction": 0.7, "hard_thresholding": "afno"}],
    "attention": [{"heads": 2}, {"heads": 2, "window": 2, "shift": "alternate"}, {"heads": 2, "kv_reduction": 2}],
    "conv": [{"k": 3}],
    "fnet": [{}],
    "fno": [{}, {"modes": 1}],
    "global_filter": [{}],
    "identity": [{}],
    "lambda": [{"k": 4, "context": "global"}, {"k": 4, "context": 3}],
    "mlp": [{}],
    "pool": [{}],
    "separable_conv": [{"k": 3}],
    "shift": [{"kind": "shiftvit"}, {"kind": "s2"}, {"kind": "axial"}],
    "wave": [{}],
}
MIXERS_UNDER_TEST = [{"name": name, **options} for name, several in MIXER_OPTIONS.items() for options in several]


def isotropic(mixer: dict[str, Any], **changes: Any) -> Architecture:
    """One stage: features are blocks."""
    stage = {"mixer": mixer, "width": 16, "depth": 3, "norm": "layer"}
    description = {"stages": [stage], "stem": STEM, "image_size": SIZES[0], "num_classes": 5}
    return Architecture.from_dict(description | changes)


def pyramid(mixer: dict[str, Any], head: str) -> Architecture:
    """Three stages of other widths: features are stages."""
    stages = [
        {"mixer": "conv", "width": 8, "depth": 1},
        {"mixer": mixer, "width": 16, "depth": 2, "downsample": 2, "norm": "layer"},
        {"mixer": {"name": "lambda", "context": "global"}, "width": 24, "depth": 1, "downsample": 2},
    ]
    return Architecture.from_dict(
        {"stages": stages, "stem": {"patch": 2}, "head": {"norm": head}, "image_size": SIZES[0], "num_classes": 5}
    )


ARCHITECTURES = [
    *(isotropic(mixer) for mixer in MIXERS_UNDER_TEST),
    *(pyramid(mixer, ("before", "after")[index % 2]) for index, mixer in enumerate(MIXERS_UNDER_TEST)),
]


def test_every_mixer_is_under_test() -> None:
    assert set(MIXER_OPTIONS) == set(MIXERS)


# Sequences of operations


class CountingHook:
    """A hook that counts its calls, and that cannot be copied, as hooks that write to a file cannot."""

    def __init__(self, calls: dict[str, int], name: str) -> None:
        self.calls, self.name, self.lock = calls, name, threading.Lock()

    def __call__(self, *args: Any) -> None:
        with self.lock:
            self.calls[self.name] = self.calls.get(self.name, 0) + 1


@dataclass
class Subject:
    """A network, and what is expected of it."""

    network: Network
    frozen: set[str] = field(default_factory=set)
    dtype: torch.dtype = torch.float32
    calls: dict[str, int] = field(default_factory=dict)
    modules: dict[str, nn.Module] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, module in self.network.named_modules():
            if name.endswith((".mixer", ".blocks")) or name == "stages":
                module.register_forward_pre_hook(CountingHook(self.calls, name))
                self.modules[name] = module

    def image(self) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.randn(2, 3, *self.network.image_size, generator=generator, dtype=torch.float64).to(self.dtype)


def is_rigid(network: Network) -> bool:
    """True if a mixer has no interpolation."""
    return any(stage.mixer.name == "mlp" for stage in network.architecture.stages)


def set_input_size(subject: Subject, size: tuple[int, int]) -> None:
    network, before = subject.network, dict(subject.network.named_parameters())
    if size != network.image_size and is_rigid(network):
        with pytest.raises(SpaceError, match="no accepted interpolation"):
            network.set_input_size(size)
        assert all(parameter is before[name] for name, parameter in network.named_parameters())
        return
    network.set_input_size(size)
    assert network.image_size == size
    kept = {name for name, parameter in network.named_parameters() if parameter.shape == before[name].shape}
    assert all(network.get_parameter(name) is before[name] for name in kept)


def prune_layers(subject: Subject, index: int, norm: bool, head: bool) -> None:
    network = subject.network
    count = len(network.feature_info)
    taken = network.prune_intermediate_layers([index % count], prune_norm=norm, prune_head=head)
    assert taken == [index % count]
    assert len(network.feature_info) == index % count + 1


def reset_classifier(subject: Subject, classes: int, pool: str | None) -> None:
    if classes and (subject.network.global_pool if pool is None else pool) == "":
        pool = "avg"
    subject.network.reset_classifier(classes, pool)
    subject.frozen -= {"head.weight", "head.bias"}
    assert subject.network.num_classes == classes


def freeze(subject: Subject, part: str) -> None:
    for name, parameter in subject.network.named_parameters():
        if part in name:
            parameter.requires_grad_(False)
            subject.frozen.add(name)


def cast_to(subject: Subject, dtype: torch.dtype) -> None:
    subject.network.to(dtype)
    subject.dtype = dtype


def load_own_weights(subject: Subject) -> None:
    subject.network.load_state_dict({name: tensor.clone() for name, tensor in subject.network.state_dict().items()})


def load_weights_of_another_size(subject: Subject) -> None:
    """Refused by torch where shapes differ, as with timm's models."""
    network = subject.network
    other = copy_without_hooks(network)
    if is_rigid(network):
        return
    other.set_input_size((24, 20))
    shapes = [{name: tensor.shape for name, tensor in net.state_dict().items()} for net in (network, other)]
    if shapes[0] != shapes[1]:
        with pytest.raises(RuntimeError, match="size mismatch"):
            copy_without_hooks(network).load_state_dict(other.state_dict())


def copy_without_hooks(network: Network) -> Network:
    other = build(network.architecture).to(network.stem.proj.weight.dtype)
    if not network.num_classes:
        other.reset_classifier(0)
    other.load_state_dict(network.state_dict())
    return other


OPERATIONS: st.SearchStrategy[tuple[Callable[..., None], tuple[Any, ...]]] = st.one_of(
    st.tuples(st.just(set_input_size), st.tuples(st.sampled_from(SIZES))),
    st.tuples(st.just(set_input_size), st.tuples(st.sampled_from(SIZES))),
    st.tuples(st.just(prune_layers), st.tuples(st.integers(0, 2), st.booleans(), st.booleans())),
    st.tuples(st.just(reset_classifier), st.tuples(st.sampled_from([0, 3, 5]), st.sampled_from([None, "avg"]))),
    st.tuples(st.just(reset_classifier), st.just((0, ""))),
    st.tuples(st.just(freeze), st.tuples(st.sampled_from(["pos_emb", "mixer", "stem", "norm", "head", ""]))),
    st.tuples(st.just(cast_to), st.tuples(st.sampled_from([torch.float32, torch.float64]))),
    st.tuples(st.just(load_own_weights), st.just(())),
    st.tuples(st.just(load_weights_of_another_size), st.just(())),
    st.tuples(st.just(lambda subject, mode: subject.network.train(mode)), st.tuples(st.booleans())),
    st.tuples(st.just(lambda subject, on: subject.network.set_grad_checkpointing(on)), st.tuples(st.booleans())),
)


def check(subject: Subject, training: bool, checkpointing: bool) -> None:
    """The network is what is expected of it, and its description is that of the network."""
    network, x = subject.network, subject.image()
    names = dict(network.named_parameters())
    assert {name for name, parameter in names.items() if not parameter.requires_grad} == subject.frozen & set(names)
    assert {tensor.dtype for tensor in (*names.values(), x)} == {subject.dtype}
    assert {module.training for module in network.modules()} == {training}
    assert {stage.grad_checkpointing for stage in cast(Any, network.stages)} == {checkpointing}
    present = dict(network.named_modules())
    surviving = {name: module for name, module in subject.modules.items() if name in present}
    assert all(present[name] is module for name, module in surviving.items())
    assert set(surviving) == {name for name in present if name.endswith((".mixer", ".blocks")) or name == "stages"}
    check_description(network, x)
    subject.calls.clear()
    mode = [module.training for module in network.modules()]
    network.eval()
    y = network(x)
    hooked = {name for name in surviving if name.endswith(".mixer")}
    assert {name: subject.calls.get(name) for name in hooked} == dict.fromkeys(hooked, 1)
    _check_copy(network, x, y)
    for module, training_before in zip(network.modules(), mode, strict=True):
        module.training = training_before


def check_description(network: Network, x: torch.Tensor) -> None:
    """Costs, features and widths follow from `network.architecture`."""
    architecture = network.architecture
    assert architecture.image_size == network.image_size
    classifier = 0 if network.num_classes else (network.num_features + 1) * architecture.num_classes
    assert cost(architecture).params - classifier == sum(parameter.numel() for parameter in network.parameters())
    assert network.num_features == network.head_hidden_size == architecture.stages[-1].width
    if network.num_classes:
        assert network.num_classes == architecture.num_classes
    was_training = network.training
    network.eval()
    final, maps = cast(tuple[torch.Tensor, list[torch.Tensor]], network.forward_intermediates(x))
    assert torch.equal(final, network.forward_features(x))
    assert len(maps) == len(network.feature_info)
    for y, info in zip(maps, network.feature_info, strict=True):
        size = [math.ceil(side / info["reduction"]) for side in network.image_size]
        assert list(y.shape) == [2, info["num_chs"], *size]
    network.train(was_training)


def _check_copy(network: Network, x: torch.Tensor, y: torch.Tensor) -> None:
    """A network built from the description takes the weights and gives the same output."""
    other = build(network.architecture).to(x.dtype).eval()
    if not network.num_classes:
        other.reset_classifier(0, network.global_pool)
    other.load_state_dict(network.state_dict(), strict=True)
    torch.testing.assert_close(other(x), y, rtol=1e-5, atol=1e-6)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    architecture=st.sampled_from(ARCHITECTURES),
    operations=st.lists(OPERATIONS, min_size=2, max_size=6),
    seed=st.just(0),
)
def test_state_survives_operations_in_every_order(architecture: Architecture, operations: list[Any], seed: int) -> None:
    torch.manual_seed(seed)
    subject = Subject(build(architecture))
    training, checkpointing = True, False
    for operation, arguments in operations:
        operation(subject, *arguments)
        training, checkpointing = subject.network.training, cast(Any, subject.network.stages[0]).grad_checkpointing
        check(subject, training, checkpointing)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda architecture: architecture.id)
def test_each_network_is_frozen_pruned_and_resized(architecture: Architecture) -> None:
    subject = Subject(build(architecture).eval())
    freeze(subject, "")
    for step in ((prune_layers, 1, False, False), (set_input_size, SIZES[1]), (set_input_size, SIZES[2])):
        step[0](subject, *step[1:])
        check(subject, training=False, checkpointing=False)


# One by one

FILTER = {"name": "global_filter"}


def test_frozen_tables_stay_frozen_as_in_timms_models() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm

    theirs = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1)
    for frozen in (True, False):
        ours = build(isotropic(FILTER))
        for network, table in ((theirs, theirs.pos_embed), (ours, ours.stem.pos_embed)):
            table.requires_grad_(not frozen)
            network.set_input_size(48 if network is theirs else 16)
        ours.get_parameter("stages.0.blocks.0.mixer.complex_weight").requires_grad_(not frozen)
        ours.set_input_size((12, 8))
        assert ours.stem.pos_embed is not None
        assert theirs.pos_embed.requires_grad == ours.stem.pos_embed.requires_grad == (not frozen)
        assert ours.get_parameter("stages.0.blocks.0.mixer.complex_weight").requires_grad == (not frozen)


@pytest.mark.parametrize(
    "mixer", [m for m in MIXERS_UNDER_TEST if m["name"] in ("global_filter", "fno", "lambda")], ids=str
)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_resized_parameters_have_the_dtype_and_the_precision_of_the_old_ones(
    mixer: dict[str, Any], dtype: torch.dtype
) -> None:
    network = build(isotropic(mixer)).to(dtype)
    exact = copy.deepcopy(network).double()
    for net in (network, exact):
        net.set_input_size(SIZES[1])
    for name, parameter in network.named_parameters():
        assert parameter.dtype == dtype
        torch.testing.assert_close(
            parameter.double(), exact.get_parameter(name), rtol=4 * torch.finfo(dtype).eps, atol=1e-3
        )
    if dtype == torch.float64:
        table = network.stem.pos_embed
        assert table is not None
        assert not torch.equal(table, table.float().double())  # interpolated in double precision


def test_what_a_user_attached_to_a_parameter_stays() -> None:
    network = build(isotropic(FILTER))
    table = network.stem.pos_embed
    assert table is not None
    table.no_decay = True  # type: ignore[attr-defined]
    network.set_input_size(SIZES[1])
    assert network.stem.pos_embed is not table
    assert network.stem.pos_embed.no_decay is True  # type: ignore[union-attr]


def test_the_memory_format_of_a_table_stays() -> None:
    network = build(isotropic({"name": "conv", "k": 3})).to(memory_format=torch.channels_last)
    network.set_input_size(SIZES[1])
    assert network.stem.pos_embed is not None
    assert network.stem.pos_embed.is_contiguous(memory_format=torch.channels_last)


def test_tied_filters_stay_tied() -> None:
    network = build(isotropic(FILTER))
    first, second, third = (cast(Any, block).mixer for block in cast(Any, network.stages[0]).blocks)
    second.complex_weight = first.complex_weight
    network.set_input_size(SIZES[1])
    assert second.complex_weight is first.complex_weight
    assert third.complex_weight is not first.complex_weight
    assert network(torch.zeros(1, 3, *SIZES[1])).shape == (1, 5)


def test_an_optimizer_keeps_the_parameters_that_are_not_bound_to_the_map() -> None:
    network = build(isotropic({"name": "lambda", "context": "global"}))
    qkv = network.get_parameter("stages.0.blocks.0.mixer.qkv.weight")
    optimizer = torch.optim.SGD([qkv], lr=1.0)
    network.set_input_size(SIZES[1])
    before = qkv.detach().clone()
    network.train()(torch.randn(2, 3, *SIZES[1])).square().sum().backward()
    optimizer.step()
    assert not torch.equal(network.get_parameter("stages.0.blocks.0.mixer.qkv.weight"), before)


class Doubled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


@pytest.mark.parametrize("change", ["parametrized", "pruned"])
def test_a_computed_table_is_refused_before_anything_changes(change: str) -> None:
    network = build(isotropic(FILTER)).eval()
    last = network.get_submodule("stages.0.blocks.2.mixer")
    if change == "parametrized":
        parametrize.register_parametrization(last, "complex_weight", Doubled())
    else:
        prune.random_unstructured(last, "complex_weight", amount=0.5)
    x = torch.randn(1, 3, *SIZES[0])
    y = network(x)
    with pytest.raises(ValueError, match=r"stages\[0\]\.mixer\.complex_weight: must be a plain parameter"):
        network.set_input_size(SIZES[1])
    assert network.image_size == SIZES[0]
    assert torch.equal(network(x), y)


def test_the_mask_of_shifted_windows_is_that_of_the_new_map() -> None:
    network = build(isotropic({"name": "attention", "heads": 2, "window": 2, "shift": "alternate"}))
    network.set_input_size(SIZES[1])
    fresh = build(network.architecture)
    for (name, buffer), other in zip(network.named_buffers(), fresh.buffers(), strict=True):
        assert torch.equal(buffer, other), name


def test_a_network_pruned_before_the_stage_that_binds_it_takes_images_of_any_size() -> None:
    network = build(pyramid({"name": "conv", "k": 3}, "before")).eval()
    assert network.bound_by == "stages[2].mixer"
    network.prune_intermediate_layers([1])
    assert network.bound_by == ""
    assert network(torch.zeros(1, 3, 20, 12)).shape == (1, 16, 5, 3)
    assert len(network.feature_info) == 2


def test_a_pyramid_pruned_to_one_stage_still_has_the_features_of_stages() -> None:
    network = build(pyramid({"name": "conv", "k": 3}, "before")).eval()
    network.prune_intermediate_layers([1])
    network.prune_intermediate_layers([0])
    (only,) = cast(list[torch.Tensor], network.forward_intermediates(torch.zeros(1, 3, 8, 12), intermediates_only=True))
    assert only.shape == (1, 8, 4, 6)


def test_a_pruned_stage_need_not_fit_the_new_size() -> None:
    stages = [
        {"mixer": "conv", "width": 8},
        {"mixer": {"name": "attention", "heads": 2, "kv_reduction": 4}, "width": 16, "downsample": 2},
    ]
    network = build(
        Architecture.from_dict({"stages": stages, "stem": {"patch": 2, "pos_embed": True}, "image_size": 16})
    )
    with pytest.raises(SpaceError, match=r"kv_reduction: must not exceed the map 2x2"):
        network.set_input_size(8)
    network.prune_intermediate_layers([0])
    network.set_input_size(8)
    assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 8, 4, 4)


@pytest.fixture(scope="module")
def timm() -> ModuleType:
    """Timm, which takes seconds to import, and only here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm

    return timm


def test_a_changed_model_is_saved_and_loaded_as_it_is(timm: ModuleType, tmp_path: Any) -> None:
    from timm.models import save_for_hf

    model = timm.create_model("mixfront", architecture=isotropic(FILTER).to_dict(), img_size=(12, 8)).eval()
    configuration = copy.deepcopy(model.pretrained_cfg)
    model.prune_intermediate_layers([1], prune_head=False)
    model.set_input_size(SIZES[1])
    model.reset_classifier(3)
    assert model.pretrained_cfg == configuration  # that of the weights' source, as in timm
    save_for_hf(model, str(tmp_path), safe_serialization=True)
    loaded = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    x = torch.randn(2, 3, *SIZES[1])
    assert torch.equal(loaded(x), model(x))
    assert loaded.architecture == model.architecture
