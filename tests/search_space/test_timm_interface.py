"""The network keeps every promise that timm's tools rely on, by the assertions that timm makes of its own models.

They hold for each residual form, with features by block and by stage, bound to the map and not, with every place of the
head's norm.
"""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import nn

from search_space import Architecture, build
from search_space.errors import SpaceError
from search_space.modules.layers import DropPath
from search_space.modules.network import Network

CLC: dict[str, Any] = {
    "mixer": {"name": "conv", "k": 3, "group_width": 2, "interlace": True, "bias": False},
    "channel_mixer": {"name": "pointwise", "groups": 2, "bias": False},
    "act": "relu",
    "residual": "plain",
    "begin": "block",
}
BOTTLENECK: dict[str, Any] = {
    "channel_mixer": {"name": "mlp", "expansion": 0.25, "bias": False},
    "act": "silu",
    "residual": "bottleneck",
    "begin": "block",
    "downsampling": {"kernel": 1, "norm": "after", "bias": False},
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "convmixer": {
        "stages": [{"mixer": {"name": "conv", "k": 5}, "width": 12, "depth": 4, "residual": "convmixer"}],
        "stem": {"patch": 4, "act": "gelu", "norm": "batch"},
        "head": {"norm": None},
    },
    "pyramid": {
        "stages": [
            {"mixer": "pool", "width": 8, "depth": 2, "norm": "group", "layer_scale": 0.5},
            {"mixer": "conv", "width": 12, "depth": 1, "downsample": 2},
            {"mixer": {"name": "attention", "heads": 2}, "width": 16, "depth": 2, "downsample": 2, "norm": "layer"},
        ],
        "stem": {"patch": 2, "kernel": 3},
    },
    "gfnet": {
        "stages": [
            {"mixer": "global_filter", "width": 12, "depth": 3, "residual": "single", "norm": "layer"},
        ],
        "stem": {"patch": 4, "pos_embed": True},
    },
    "shiftvit": {
        "stages": [
            {"mixer": "shift", "width": 12, "depth": 2, "residual": "shiftvit", "norm": "group"},
            {"mixer": "shift", "width": 24, "depth": 1, "residual": "shiftvit", "norm": "group", "downsample": 2}
            | {"downsampling": {"kernel": 2, "norm": "after"}},
        ],
        "head": {"norm": "after"},
    },
    "plain": {
        "stages": [
            {"mixer": "conv", "width": 8, "depth": 1, "residual": "plain", "act": "relu"},
            {"mixer": "conv", "width": 16, "depth": 2, "residual": "plain", "act": "relu", "downsample": 2},
        ],
        "stem": {"patch": 2, "kernel": 3, "norm": "batch", "act": "relu"},
        "head": {"norm": None},
    },
    "clcnet": {
        "stages": [
            {"width": 8, "depth": 2, "downsample": 1, **CLC},
            {"width": 16, "depth": 1, "downsample": 2, **CLC},
            {"width": 24, "depth": 2, "downsample": 2, **CLC},
        ],
        "stem": {"patch": 2, "kernel": 3, "norm": "batch", "act": "relu", "order": "norm_act", "ratio": 0.5},
        "head": {"norm": None},
    },
    "bottleneck": {
        "stages": [
            {"mixer": {"name": "conv", "k": 3, "groups": 1}, "width": 16, "depth": 1, **BOTTLENECK},
            {"mixer": {"name": "lambda", "context": "global", "heads": 2}, "width": 32, "depth": 2, **BOTTLENECK}
            | {"downsample": 2, "layer_scale": 0.5, "squeeze_excite": {"reduction": 4}},
            {"mixer": {"name": "attention", "heads": 2}, "width": 32, "depth": 1, **BOTTLENECK},
        ],
        "stem": {"patch": 4, "tiered": True, "pool": True, "norm": "batch", "act": "silu", "bias": False, "ratio": 0.5},
        "head": {"norm": None},
        "image_size": [16, 24],
    },
    "mixed": {
        "stages": [
            {"mixer": {"name": "attention", "heads": 2, "window": 3, "shift": "alternate"}, "width": 12, "depth": 2},
            {"mixer": {"name": "lambda", "context": "global", "heads": 4}, "width": 16, "depth": 1, "downsample": 2},
            {"mixer": "afno", "width": 16, "depth": 1},
        ],
        "stem": {"patch": 2},
        "head": {"norm": "after"},
        "image_size": [16, 24],
    },
}
UNBOUND = [name for name in ARCHITECTURES if name not in ("gfnet", "bottleneck", "mixed")]
WITHOUT_BRANCHES = ("plain", "clcnet")

every = pytest.mark.parametrize("name", ARCHITECTURES)


@pytest.fixture(scope="module")
def create() -> Callable[..., Any]:
    """`timm.create_model` of an architecture by its name; importing timm takes seconds, and only here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm

    def create(name: str, **options: Any) -> nn.Module:
        torch.manual_seed(0)
        return cast(nn.Module, timm.create_model("mixfront", architecture=ARCHITECTURES[name], **options))

    return create


def network(name: str) -> Network:
    """Weights away from their initial values, so that no branch is too small to be seen."""
    torch.manual_seed(0)
    built = build(Architecture.from_dict(ARCHITECTURES[name]))
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return built


def images(size: tuple[int, ...], batch: int = 2, in_chans: int = 3) -> torch.Tensor:
    return torch.randn(batch, in_chans, *size, generator=torch.Generator().manual_seed(1))


def features_of(built: Network, x: torch.Tensor, indices: Any = None, **options: Any) -> list[torch.Tensor]:
    return cast(list[torch.Tensor], built.forward_intermediates(x, indices, intermediates_only=True, **options))


# Factory and configuration


@every
def test_the_configuration_describes_the_model(create: Callable[..., Any], name: str) -> None:
    model = create(name).eval()
    cfg, weights, x = model.default_cfg, model.state_dict(), images(model.image_size)
    assert cfg["input_size"] == (3, *model.image_size)
    features = model.forward_features(x)
    assert features.shape[1] == model.num_features
    assert features.shape[2:] == cfg["pool_size"]
    model.reset_classifier(0)
    assert model(x).shape == (2, model.num_features)
    model.reset_classifier(0, "")
    assert model(x).shape == features.shape
    assert create(name, num_classes=0, global_pool="")(x).shape == features.shape
    assert f"{cfg['classifier']}.weight" in weights
    assert f"{cfg['first_conv']}.weight" in weights
    assert cfg["fixed_input_size"] is (name not in UNBOUND)


@every
def test_every_parameter_is_trained(create: Callable[..., Any], name: str) -> None:
    model = create(name, num_classes=42, drop_rate=0.1).train()
    outputs = model(images(model.image_size))
    outputs.mean().backward()
    assert outputs.shape == (2, 42)
    assert outputs.isfinite().all()
    assert [n for n, parameter in model.named_parameters() if parameter.grad is None] == []
    for head in (model.head, model.get_classifier()):
        assert (head.in_features, head.out_features) == (model.head_hidden_size, 42)


def test_a_new_classifier_is_like_the_model() -> None:
    built = network("convmixer").double().eval()
    built.reset_classifier(3)
    assert built.head.weight.dtype == torch.float64
    assert not built.head.training
    with pytest.raises(ValueError, match="num_classes: must be 0 where global_pool is '', found 3"):
        built.reset_classifier(3, "")
    built.reset_classifier(0, "")
    with pytest.raises(ValueError, match="num_classes: must be 0 where global_pool is '', found 3"):
        built.reset_classifier(3)


@every
def test_the_head_without_pooling_has_its_norm_and_gets_its_pooling_back(name: str) -> None:
    built = network(name).eval()
    features = built.forward_features(images(built.image_size))
    pooled = built.forward_head(features, pre_logits=True)
    assert torch.equal(pooled, built.fc_norm(features.mean((2, 3), keepdim=True)).flatten(1))
    assert torch.equal(built.head(pooled), built.forward_head(features))
    built.reset_classifier(0, "")
    assert torch.equal(built.forward_head(features), built.fc_norm(features))


# Features


@every
def test_features_have_the_channels_and_reductions_of_feature_info(create: Callable[..., Any], name: str) -> None:
    model = create(name, features_only=True).eval()
    size = Architecture.from_dict(ARCHITECTURES[name]).image_size
    outputs = model(images(size))
    assert len(outputs) == len(model.feature_info.channels())
    assert name == "plain" or name == "shiftvit" or len(outputs) >= 3
    for channels, reduction, output in zip(
        model.feature_info.channels(), model.feature_info.reduction(), outputs, strict=True
    ):
        assert output.shape == (2, channels, *(math.ceil(side / reduction) for side in size))


@every
def test_intermediates_are_the_outputs_of_the_modules_in_feature_info(name: str) -> None:
    built = network(name).eval()
    x, seen = images(built.image_size), list[torch.Tensor]()
    hooks = [
        built.get_submodule(info["module"]).register_forward_hook(lambda module, args, output: seen.append(output))
        for info in built.feature_info
    ]
    final, features = cast(tuple[torch.Tensor, list[torch.Tensor]], built.forward_intermediates(x))
    for hook in hooks:
        hook.remove()
    assert torch.equal(final, built.forward_features(x))
    assert len(features) == len(seen) == len(built.feature_info)
    assert all(torch.equal(feature, output) for feature, output in zip(features, seen, strict=True))
    expected = features_of(built, x)
    assert all(torch.equal(feature, other) for feature, other in zip(features, expected, strict=True))
    assert torch.equal(features_of(built, x, 1, norm=True)[0], final)


@pytest.mark.parametrize("name", ["convmixer", "pyramid"])
def test_indices_count_from_the_end_too_and_can_stop_the_network(name: str) -> None:
    built = network(name).eval()
    x = images(built.image_size)
    features = features_of(built, x)
    count = len(features)
    for indices, expected in ((2, [count - 2, count - 1]), ((-1, 0), [0, count - 1]), ([1, 1], [1])):
        maps = features_of(built, x, indices)
        assert all(torch.equal(y, features[index]) for y, index in zip(maps, expected, strict=True))
    following = built.get_submodule(built.feature_info[1]["module"])
    following.register_forward_hook(lambda *args: pytest.fail("computed a map after the last feature"))
    last, (only,) = built.forward_intermediates(x, indices=[0], stop_early=True)
    assert torch.equal(only, features[0])
    assert torch.equal(last, features[0])
    for wrong, rule in (
        (0, "must be within 1 to"),
        (count + 1, "must be within 1 to"),
        ([count], "must be within -"),
        ([], "must not be empty"),
    ):
        with pytest.raises(ValueError, match=f"indices.*{rule}"):
            features_of(built, x, wrong)
    with pytest.raises(ValueError, match="output_fmt: must be 'NCHW', found 'NLC'"):
        features_of(built, x, output_fmt="NLC")


@every
@pytest.mark.parametrize("norm", [False, True])
def test_a_pruned_network_has_the_same_features_and_no_other_parameters(name: str, norm: bool) -> None:
    built = network(name).eval()
    x, first = images(built.image_size), built.feature_info[0]["num_chs"]
    expected = features_of(built, x, [0], norm=norm)
    assert built.prune_intermediate_layers([0], prune_norm=not norm) == [0]
    maps = features_of(built, x, [0], norm=norm)
    assert torch.equal(maps[0], expected[0])
    maps[0].square().sum().backward()
    assert [n for n, parameter in built.named_parameters() if parameter.grad is None] == []
    assert (len(built.feature_info), built.num_features, built.num_classes) == (1, first, 0)
    assert built(x).shape == maps[0].shape


def test_a_network_pruned_after_its_last_feature_may_keep_its_head() -> None:
    built = network("pyramid").eval()
    x = images(built.image_size)
    logits = built(x)
    assert built.prune_intermediate_layers((-1, 0), prune_head=False) == [0, 2]
    assert torch.equal(built(x), logits)


@pytest.mark.parametrize("feature_cls", ["list", "dict", "hook", "fx", "getter"])
def test_each_of_timms_feature_extractors_gives_the_same_maps(create: Callable[..., Any], feature_cls: str) -> None:
    whole = create("pyramid").eval()
    model = create("pyramid", features_only=True, out_indices=(0, 2), feature_cls=feature_cls).eval()
    x = images(whole.image_size)
    maps = model(x)
    maps = list(maps.values()) if isinstance(maps, dict) else maps
    expected = features_of(whole, x, (0, 2))
    assert all(torch.equal(y, other) for y, other in zip(maps, expected, strict=True))
    assert model.feature_info.channels() == [8, 16]


def test_the_last_features_of_an_isotropic_network_are_the_default(create: Callable[..., Any]) -> None:
    model = create("convmixer", features_only=True)
    assert model.feature_info.module_name() == ["stages.0.blocks.1", "stages.0.blocks.2", "stages.0.blocks.3"]
    assert len(create("convmixer", features_only=True, out_indices=2)(images((32, 32)))) == 2


# Training


def kept_for_backward(built: Network) -> tuple[torch.Tensor, int]:
    """A loss, and how many numbers its backward pass keeps."""
    sizes: list[int] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        return built(images(built.image_size)).square().sum(), sum(sizes)


@every
def test_gradient_checkpointing_recomputes_the_blocks_and_changes_nothing(name: str) -> None:
    plain, saving = network(name).train(), network(name).train()
    saving.set_grad_checkpointing()
    calls: list[int] = []
    kept = {}
    for built in (plain, saving):
        calls.clear()
        for stage in built.stages.children():
            for block in cast(Any, stage).blocks:
                block.mixer.register_forward_hook(lambda *args: calls.append(1))
        loss, numbers = kept_for_backward(built)
        loss.backward()
        kept[built] = (float(loss.detach()), numbers, len(calls))
    blocks = sum(stage.depth for stage in plain.architecture.stages)
    assert kept[saving][0] == kept[plain][0]
    assert kept[saving][1] < kept[plain][1]
    assert (kept[plain][2], kept[saving][2]) == (blocks, 2 * blocks)
    for (n, one), other in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert one.grad is not None
        torch.testing.assert_close(other.grad, one.grad, msg=n)
    for (n, one), (_, other) in zip(plain.state_dict().items(), saving.state_dict().items(), strict=True):
        assert torch.equal(one, other), n  # running statistics have seen the batch once
    saving.set_grad_checkpointing(False)
    calls.clear()
    saving(images(saving.image_size)).sum().backward()
    assert len(calls) == blocks


@every
def test_groups_run_from_the_stem_to_the_head_and_hold_every_parameter(create: Callable[..., Any], name: str) -> None:
    from timm.models import group_parameters

    model = create(name)
    depths = [stage.depth for stage in model.architecture.stages]
    for coarse, count in ((False, sum(depths)), (True, len(depths))):
        groups = group_parameters(model, model.group_matcher(coarse))
        assert sorted(n for names in groups.values() for n in names) == sorted(dict(model.named_parameters()))
        assert list(groups) == list(range(count + 2))
        assert all(n.startswith("stem.") for n in groups[0])
        assert {n.split(".")[0] for n in groups[count + 1]} <= {"fc_norm", "head"}
        layer_of = group_parameters(model, model.group_matcher(coarse), reverse=True)
        for stage, depth in enumerate(depths):
            for block in range(depth):
                layer = 1 + (stage if coarse else sum(depths[:stage]) + block)
                prefix = f"stages.{stage}.blocks.{block}."
                assert {layer_of[n] for n in layer_of if n.startswith(prefix)} == {layer}
        for n in layer_of:
            if n.startswith("norm."):
                assert layer_of[n] == count
            if ".transition." in n:
                assert (
                    layer_of[n]
                    == layer_of[next(m for m in layer_of if m.startswith(n.split("transition")[0] + "blocks.0."))]
                )


@every
def test_layer_decay_scales_the_stem_least(create: Callable[..., Any], name: str) -> None:
    from timm.optim import param_groups_layer_decay

    model = create(name)
    names = {id(parameter): n for n, parameter in model.named_parameters()}
    groups = param_groups_layer_decay(
        model, weight_decay=0.05, no_weight_decay_list=model.no_weight_decay(), layer_decay=0.5
    )
    blocks = sum(stage.depth for stage in model.architecture.stages)
    scale = {names[id(p)]: (group["lr_scale"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert scale.keys() == set(names.values())
    assert scale["stem.proj.weight"] == (0.5 ** (blocks + 1), 0.05)
    first = next(n for n in scale if n.startswith("stages.0.blocks.0.mlp.") and n.endswith("weight"))
    assert scale[first] == (0.5**blocks, 0.05)
    assert scale["head.weight"] == (1.0, 0.05)
    spared = {n for n in names.values() if n.endswith(("pos_embed", "relative_position_bias_table"))}
    assert model.no_weight_decay() == spared
    assert all(scale[n][1] == 0 for n in spared)


@every
def test_dropout_and_stochastic_depth_act_only_in_training(create: Callable[..., Any], name: str) -> None:
    rates = {"drop_rate": 0.5} | ({} if name in WITHOUT_BRANCHES else {"drop_path_rate": 0.6})
    model, plain = create(name, **rates), create(name)
    x = images(model.image_size)
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert torch.equal(model.eval()(x), plain.eval()(x))
    model.train()
    assert not torch.equal(model(x), model(x))
    assert torch.equal(model.eval()(x).isfinite(), torch.ones(2, 10, dtype=torch.bool))
    paths = [[m.rate for m in block.modules() if isinstance(m, DropPath)] for s in model.stages for block in s.blocks]
    if name in WITHOUT_BRANCHES:
        assert not any(paths)
    else:
        assert [rate for (rate,) in paths] == pytest.approx([0.6 * i / (len(paths) - 1) for i in range(len(paths))])
    assert model.drop_rate == 0.5


def test_invalid_rates_are_refused(create: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"drop_path_rate: must be 0 where no block has a residual branch, found 0\.1"):
        create("plain", drop_path_rate=0.1)
    for rate in ("drop_rate", "drop_path_rate"):
        with pytest.raises(ValueError, match=f"{rate}: must be at least 0 and below 1, found 1"):
            create("pyramid", **{rate: 1.0})


def test_a_dropped_path_is_dropped_for_whole_samples_and_keeps_its_mean() -> None:
    path = DropPath()
    x = torch.ones(4000, 2, 3, 3)
    assert path.train()(x) is x
    path.rate = 0.25
    torch.manual_seed(0)
    y = path(x).flatten(1)
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert sorted(y[:, 0].unique().tolist()) == pytest.approx([0, 4 / 3])
    assert float((y[:, 0] == 0).float().mean()) == pytest.approx(0.25, abs=0.03)
    assert path.eval()(x) is x


@pytest.mark.parametrize("name", ["convmixer", "pyramid", "gfnet", "shiftvit"])
def test_a_block_whose_branches_are_dropped_is_its_shortcut(name: str) -> None:
    built = network(name)
    block = cast(Any, built.get_submodule("stages.0.blocks.0"))
    (path,) = (module for module in block.modules() if isinstance(module, DropPath))
    path.rate = 1 - 1e-12  # as good as always
    x = images((8, 8), in_chans=built.architecture.stages[0].width)
    skip = {
        "convmixer": lambda: block.norm2(block.act(block.mlp(x))),
        "shiftvit": lambda: block.mixer(x),
    }.get(name, lambda: x)
    assert torch.equal(block.train()(x), cast(Any, skip)())


# Sizes


@pytest.mark.parametrize("name", UNBOUND)
def test_networks_that_are_not_bound_to_a_size_take_images_of_any_size(create: Callable[..., Any], name: str) -> None:
    model, x = create(name).eval(), images((24, 40))
    logits = model(x)
    model.set_input_size((24, 40))
    assert torch.equal(model(x), logits)
    assert torch.equal(create(name, img_size=(24, 40)).eval()(x), logits)


@pytest.mark.parametrize(
    ("name", "place"),
    [("gfnet", r"stem\.pos_embed"), ("bottleneck", r"stages\[1\]\.mixer"), ("mixed", r"stages\[1\]\.mixer")],
)
def test_networks_that_are_bound_to_a_size_take_another_after_set_input_size(name: str, place: str) -> None:
    built = network(name).eval()
    height, width = built.image_size
    x = images((48, 32))
    for call in (built, built.forward_features, built.forward_intermediates):
        with pytest.raises(ValueError, match=f"must be {height}x{width}, to which {place} binds .* found 48x32"):
            call(x)
    before = dict(built.named_parameters())
    built.set_input_size((48, 32))
    assert built.image_size == (48, 32)
    assert built(x).shape == (2, 10)
    other = build(built.architecture.replace(image_size=(48, 32)))
    after = dict(built.named_parameters())
    assert {n: p.shape for n, p in after.items()} == {n: p.shape for n, p in other.named_parameters()}
    resized = {n.rpartition(".")[2] for n in after if after[n] is not before[n] and after[n].shape != before[n].shape}
    assert resized == ({"pos_embed", "complex_weight"} if name == "gfnet" else {"pos_emb"})
    with pytest.raises(ValueError, match=f"must be 48x32, .* found {height}x{width}"):
        built(images((height, width)))


def test_the_same_size_again_changes_nothing() -> None:
    built = network("mixed")
    weights = list(built.parameters())
    built.set_input_size([16, 24])
    assert all(one is other for one, other in zip(weights, built.parameters(), strict=True))


def test_a_smooth_position_embedding_is_the_same_function_at_another_size() -> None:
    built = network("gfnet")
    ramp = torch.linspace(-1, 1, 8).view(1, 1, 8, 1).expand(1, 12, 8, 8)
    built.stem.pos_embed = nn.Parameter(ramp.clone())
    built.set_input_size(64)
    assert built.stem.pos_embed is not None
    expected = (torch.arange(16) + 0.5) / 2 - 0.5  # the centres of the new patches among those of the old
    expected = (2 * expected / 7 - 1).view(1, 1, 16, 1).expand(1, 12, 16, 16)
    torch.testing.assert_close(built.stem.pos_embed.detach()[:, :, 4:-4], expected[:, :, 4:-4], atol=1e-3, rtol=0)


def test_an_invalid_size_leaves_the_network_unchanged() -> None:
    description = {"stages": [{"mixer": "global_filter"}, {"mixer": "mlp"}], "stem": {"pos_embed": True}}
    built = build(Architecture.from_dict(description)).eval()
    x = images(built.image_size)
    logits = built(x)
    with pytest.raises(SpaceError, match=r"stages\[1\]\.mixer: .*no accepted interpolation"):
        built.set_input_size(64)
    with pytest.raises(SpaceError, match=r"stem\.patch: must divide the image 30x30"):
        built.set_input_size(30)
    assert torch.equal(built(x), logits)
    assert built.image_size == (32, 32)


# Files, copies, graphs


def saved(model: nn.Module, folder: Path) -> str:
    """Save `model` with its own configuration; returns the name by which timm loads it."""
    from timm.models import save_for_hf

    save_for_hf(model, str(folder), safe_serialization=True)
    return f"local-dir:{folder}"


@every
def test_a_saved_model_is_loaded_whole_pruned_and_changed(
    create: Callable[..., Any], name: str, tmp_path: Path
) -> None:
    import timm

    model = create(name, drop_rate=0.1).train()
    model(images(model.image_size, batch=8))  # running statistics that are not the initial ones
    model.eval()
    x, where = images(model.image_size), saved(model, tmp_path)
    loaded = timm.create_model(where, pretrained=True).eval()
    assert torch.equal(loaded(x), model(x))
    assert loaded.drop_rate == 0
    cut = timm.create_model(where, pretrained=True, features_only=True, out_indices=(0,)).eval()
    assert torch.equal(cut(x)[0], features_of(model, x, [0])[0])
    headless = timm.create_model(where, pretrained=True, num_classes=0).eval()
    assert torch.equal(headless(x), model.forward_head(model.forward_features(x), pre_logits=True))
    gray = timm.create_model(where, pretrained=True, in_chans=1, num_classes=4).eval()
    summed = model.stem.proj.weight.sum(1, keepdim=True)
    assert torch.equal(gray.stem.proj.weight, summed)
    one = images(model.image_size, in_chans=1)
    assert gray(one).shape == (2, 4)
    torch.testing.assert_close(gray.forward_features(one), model.forward_features(one.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize("name", ["pyramid", "gfnet", "bottleneck", "mixed"])
def test_a_saved_model_can_be_loaded_at_another_size(create: Callable[..., Any], name: str, tmp_path: Path) -> None:
    import timm

    model, x = create(name).eval(), images((24, 32))
    where = saved(model, tmp_path / "one")
    loaded = timm.create_model(where, pretrained=True, img_size=(24, 32), num_classes=4).eval()
    model.set_input_size((24, 32))
    assert loaded.image_size == (24, 32)
    assert torch.equal(loaded.forward_features(x), model.forward_features(x))
    again = timm.create_model(saved(model, tmp_path / "two"), pretrained=True).eval()  # saved at its new size
    assert again.image_size == (24, 32)
    assert torch.equal(again(x), model(x))
    headless = create(name, num_classes=0, global_pool="").eval()
    where = saved(headless, tmp_path / "three")
    assert timm.create_model(where, pretrained=True, img_size=(24, 32))(x).shape == model.forward_features(x).shape


def test_weights_from_a_file_need_no_configuration(create: Callable[..., Any], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    model = network("convmixer").eval()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    source = {"file": str(tmp_path / "weights.safetensors")}
    x = images(model.image_size)
    for how in ("pretrained_cfg", "pretrained_cfg_overlay"):
        assert torch.equal(create("convmixer", pretrained=True, **{how: source}).eval()(x), model(x))


@every
def test_copies_are_equal_and_independent(create: Callable[..., Any], name: str) -> None:
    model = create(name).eval()
    x = images(model.image_size)
    logits = model(x)
    fresh = create(name, num_classes=10).eval()
    fresh.load_state_dict(model.state_dict())
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), fresh):
        assert torch.equal(other(x), logits)
        with torch.no_grad():
            other.stem.proj.weight.zero_()
    assert torch.equal(model(x), logits)


@every
def test_the_network_can_be_exported(name: str) -> None:
    built = network(name).eval()
    x = images(built.image_size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(built, (x,)).module()
    torch.testing.assert_close(exported(x), built(x))


@pytest.mark.parametrize("name", ["convmixer", "pyramid", "gfnet", "plain", "clcnet"])
def test_the_network_can_be_traced(name: str) -> None:
    built = network(name).eval()
    traced = torch.fx.symbolic_trace(built)
    x = images(built.image_size)
    assert torch.equal(traced(x), built(x))
    if built.bound_by:
        with pytest.raises(ValueError, match=r"must be 32x32, to which stem\.pos_embed binds"):
            traced(images((16, 16)))


def test_a_worker_never_imports_timm() -> None:
    code = f"""
import sys, torch
torch.set_num_threads(1)
from search_space import Architecture, build
network = build(Architecture.from_dict({ARCHITECTURES["mixed"]}))
network.set_grad_checkpointing()
network(torch.randn(2, 3, 16, 24)).sum().backward()
network.forward_intermediates(torch.randn(2, 3, 16, 24))
network.set_input_size(32), network.group_matcher(), network.no_weight_decay()
network.prune_intermediate_layers([0])
print([name for name in ("timm", "torchvision") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_the_model_is_in_timms_registry(create: Callable[..., Any]) -> None:
    import timm

    assert timm.list_models("mixfront") == ["mixfront"]
    assert timm.models.model_entrypoint("mixfront").__module__ == "search_space.timm_support.entrypoint"
    assert create("pyramid").pretrained_cfg["architecture"] == "mixfront"
