"""timm's weights in our networks: outputs and gradients are timm's, every tensor is used, and what does not fit is named."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from search_space import Architecture, DownsamplingSpec, Stage, build, presets
from search_space.errors import SpaceError, UnknownSpaceNameError
from search_space.field_types import Stride
from search_space.modules.downsampling import transition_of
from search_space.norm import NormSpec
from search_space.shapes import Size
from search_space.tape import cost_of_layer
from search_space.timm_support.weights import from_timm

SIZE = (32, 48)
WITHOUT_TOKEN: dict[str, Any] = {"class_token": False, "global_pool": "avg", "fc_norm": False}
PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "convmixer_1536_20": ("convmixer_1536_20", {}),
    "convmixer_768_32": ("convmixer_768_32", {}),
    "convmixer_1024_20": ("convmixer_1024_20_ks9_p14", {}),
    "poolformer_s12": ("poolformer_s12", {}),
    "poolformer_s24": ("poolformer_s24", {}),
    "vit_tiny_patch16": ("vit_tiny_patch16_224", WITHOUT_TOKEN),
    "vit_small_patch16": ("vit_small_patch16_224", WITHOUT_TOKEN),
    "swin_tiny_patch4_window7": ("swin_tiny_patch4_window7_224", {}),
    "mixer_s16": ("mixer_s16_224", {}),
    "lambda_resnet26t": ("lambda_resnet26t", {}),
}


@pytest.fixture(scope="module")
def timm() -> ModuleType:
    """Timm, which takes seconds to import, and only here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm.layers
        import timm.models.metaformer
        import timm.models.swin_transformer

    return timm


def convmixer(timm: ModuleType) -> tuple[nn.Module, Architecture]:
    model = timm.models.ConvMixer(dim=16, depth=2, kernel_size=5, patch_size=4, num_classes=7)
    return model, presets.convmixer(16, 2, k=5, patch=4)


def convmixer_even(timm: ModuleType) -> tuple[nn.Module, Architecture]:
    model = timm.models.ConvMixer(16, 1, kernel_size=4, patch_size=8, num_classes=7, act_layer=nn.ReLU)
    return model, presets.convmixer(16, 1, k=4, patch=8, act="relu")


def poolformer(timm: ModuleType) -> tuple[nn.Module, Architecture]:
    model = timm.models.metaformer.MetaFormer(
        depths=(1, 2, 1),
        dims=(8, 16, 24),
        downsample_norm=None,
        mlp_act=nn.GELU,
        mlp_bias=True,
        norm_layers=timm.layers.GroupNorm1,
        layer_scale_init_values=1e-5,
        res_scale_init_values=None,
        use_mlp_head=False,
        num_classes=7,
    )
    return model, presets.poolformer((8, 16, 24), (1, 2, 1))


def vit(timm: ModuleType) -> tuple[nn.Module, Architecture]:
    model = timm.models.VisionTransformer(SIZE, 8, num_classes=7, embed_dim=24, depth=2, num_heads=3, **WITHOUT_TOKEN)
    return model, presets.vit(24, 2, heads=3, patch=8)


def vit_scaled(timm: ModuleType) -> tuple[nn.Module, Architecture]:
    """With layer scale, and the norm after the pooling."""
    options = WITHOUT_TOKEN | {"fc_norm": True, "init_values": 0.1}
    model = timm.models.VisionTransformer(SIZE, 8, num_classes=7, embed_dim=24, depth=1, num_heads=2, **options)
    plain = presets.vit(24, 1, heads=2, patch=8)
    stage = plain.stages[0].replace(layer_scale=0.1)
    return model, plain.replace(stages=(stage,), head=plain.head.replace(norm="after"))


def mlp_mixer(timm: ModuleType) -> tuple[nn.Module, Architecture]:
    model = timm.models.MlpMixer(7, SIZE, patch_size=8, num_blocks=2, embed_dim=16)
    return model, presets.mlp_mixer(16, 2, patch=8)


def swin(timm: ModuleType) -> tuple[nn.Module, Architecture]:
    """On maps of 8 x 12 and 4 x 6, the latter padded to windows."""
    model = timm.models.SwinTransformer(
        SIZE, 4, num_classes=7, embed_dim=8, depths=(2, 3), num_heads=(2, 4), window_size=4, strict_img_size=False
    )
    return model, presets.swin((8, 16), (2, 3), heads=(2, 4), window=4)


def lambda_resnet(timm: ModuleType) -> tuple[nn.Module, Architecture]:
    """On maps of 8 x 12 and 4 x 6; timm's second stage, of a convolution and a lambda block, is two of ours."""
    from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg, interleave_blocks

    blocks = (
        ByoBlockCfg(type="bottle", d=2, c=64, s=1, gs=0, br=0.25),
        interleave_blocks(types=("bottle", "self_attn"), d=2, c=96, s=2, gs=0, br=0.25),
        ByoBlockCfg(type="self_attn", d=2, c=128, s=2, gs=0, br=0.25),
    )
    lambdas = {"self_attn_layer": "lambda", "self_attn_kwargs": {"r": 3}}
    model = ByobNet(ByoModelCfg(blocks, stem_chs=16, stem_type="tiered", stem_pool="maxpool", **lambdas), num_classes=7)
    return model, presets.lambda_resnet((64, 96, 96, 128), (2, 1, 1, 2), (False, False, True, True), context=3)


MODELS = (convmixer, convmixer_even, poolformer, vit, vit_scaled, swin, mlp_mixer, lambda_resnet)
Model = Callable[[ModuleType], tuple[nn.Module, Architecture]]
of_each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)


def randomised(module: nn.Module) -> nn.Module:
    """The module with weights large enough that none is too small to be seen, and statistics as after training."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5, generator=generator)
        else:
            nn.init.uniform_(parameter, 0.5, 1.5, generator=generator)
    for name, buffer in module.named_buffers():
        if name.endswith("running_mean"):
            nn.init.normal_(buffer, std=0.3, generator=generator)
        elif name.endswith("running_var"):
            nn.init.uniform_(buffer, 0.5, 2, generator=generator)
    return module.eval()


def settled(module: nn.Module, x: torch.Tensor) -> nn.Module:
    """The module with the statistics of `x` in its batch norms, so that a deep network's numbers stay near one."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = 1.0
    with torch.inference_mode():
        module.train()(x)
    return module.eval()


def loaded(theirs: nn.Module, architecture: Architecture) -> nn.Module:
    ours = build(architecture)
    ours.load_state_dict(from_timm(theirs, architecture), strict=True)
    return ours.eval()


def images(size: tuple[int, int], batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


def pair(timm: ModuleType, model: Model) -> tuple[nn.Module, nn.Module, Architecture]:
    theirs, architecture = model(timm)
    architecture = architecture.replace(image_size=SIZE, num_classes=7)
    return randomised(theirs), loaded(theirs, architecture), architecture


@of_each_model
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # timm's convolution, not ours
def test_the_output_is_timms(timm: ModuleType, model: Model) -> None:
    theirs, ours, _ = pair(timm, model)
    x = images(SIZE)
    expected = theirs(x)
    assert expected.std(dim=0).min() > 1e-3  # of different images, so that a constant would not do
    torch.testing.assert_close(ours(x), expected, rtol=1e-5, atol=1e-5)


@of_each_model
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_the_gradients_are_timms(timm: ModuleType, model: Model) -> None:
    theirs, ours, architecture = pair(timm, model)
    ours, theirs = ours.double(), theirs.double()
    mine, timms = images(SIZE).double().requires_grad_(), images(SIZE).double().requires_grad_()
    direction = torch.randn(2, 7, generator=torch.Generator().manual_seed(2)).double()
    (ours(mine) * direction).sum().backward()
    (theirs(timms) * direction).sum().backward()
    torch.testing.assert_close(mine.grad, timms.grad, rtol=1e-9, atol=1e-9)
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters() if parameter.grad is not None}
    expected = from_timm(theirs.state_dict() | gradients, architecture)
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_tensor_of_timms_model_has_its_place_in_the_preset(timm: ModuleType, preset: str) -> None:
    name, options = PRESETS[preset]
    with torch.device("meta"):
        theirs, ours = timm.create_model(name, **options), build(presets.get(preset))
    weights = from_timm(theirs, preset)
    assert len(weights) == len(theirs.state_dict())
    assert {name: tensor.shape for name, tensor in weights.items()} == {
        name: tensor.shape for name, tensor in ours.state_dict().items()
    }


WHOLE = ["poolformer_s12", "vit_tiny_patch16", "swin_tiny_patch4_window7", "mixer_s16", "lambda_resnet26t"]


@pytest.mark.parametrize("preset", WHOLE)
def test_a_whole_preset_gives_timms_output(timm: ModuleType, preset: str) -> None:
    name, options = PRESETS[preset]
    x = images(presets.get(preset).image_size, batch=1)
    theirs = settled(randomised(timm.create_model(name, **options)), x)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(theirs, presets.get(preset))(x), theirs(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(4, 6), (5, 4), (3, 7), (1, 1)])
def test_the_merging_of_normed_patches_is_swins(timm: ModuleType, size: tuple[int, int]) -> None:
    theirs = randomised(timm.models.swin_transformer.PatchMerging(6, 10)).double()
    how = DownsamplingSpec(kernel=2, norm="patches", bias=False)
    norm = NormSpec(name="layer", eps=theirs.norm.eps)
    stage = Stage(mixer="pool", width=10, downsample=2, downsampling=how, norm=norm)
    ours = transition_of(stage, 6).double()
    ours.load_state_dict(
        {"conv.weight": theirs.reduction.weight[:, :, None, None].detach()}
        | {f"norm.{name}": tensor for name, tensor in theirs.norm.state_dict().items()}
    )
    x = torch.randn(2, 6, *size, generator=torch.Generator().manual_seed(3)).double()
    y = ours(x)
    assert y.shape == (2, 10, *stage.size_after(size))
    torch.testing.assert_close(y, theirs(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), rtol=1e-12, atol=1e-12)
    assert sum(p.numel() for p in ours.parameters()) == params_of(how, size, 2)


def params_of(how: DownsamplingSpec, size: Size, stride: Stride) -> int:
    """Parameters from 6 channels and a map of `size` to 10, with layer norms."""
    return cost_of_layer(lambda x, tape: how.trace(x, tape, 10, "layer", stride), 6, size).params


def test_patches_of_one_position_are_normed_before_the_convolution() -> None:
    stage = Stage(mixer="pool", width=10, downsampling=DownsamplingSpec(kernel=2, norm="patches"), norm="layer")
    widening = transition_of(stage, 6).eval()
    x = images((4, 4)).repeat(1, 2, 1, 1)
    torch.testing.assert_close(widening(x), widening.conv(widening.norm_before(x)))
    assert sum(p.numel() for p in widening.parameters()) == params_of(stage.downsampling, (4, 4), 1)
    with pytest.raises(SpaceError, match="kernel: must be 2 where norm is 'patches', found 3"):
        DownsamplingSpec(norm="patches")


def test_mapping_draws_no_random_numbers_and_leaves_timms_weights_alone(timm: ModuleType) -> None:
    theirs, architecture = convmixer(timm)
    before, state = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}, torch.get_rng_state()
    weights = from_timm(theirs, architecture.replace(num_classes=7))
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(tensor.requires_grad for tensor in weights.values())
    assert all(torch.equal(tensor, before[name]) for name, tensor in theirs.state_dict().items())


def test_the_convolutions_of_convmixer_are_tied_to_their_own_blocks(timm: ModuleType) -> None:
    theirs, ours, _ = pair(timm, convmixer)
    weights = theirs.state_dict()
    assert torch.equal(ours.get_parameter("stages.0.blocks.1.mixer.weight"), weights["blocks.1.0.fn.0.weight"])
    assert torch.equal(ours.get_buffer("stages.0.blocks.0.norm2.running_var"), weights["blocks.0.3.running_var"])


def test_a_tensor_of_another_shape_is_named_with_both_shapes(timm: ModuleType) -> None:
    theirs, _ = convmixer(timm)
    wider = presets.convmixer(16, 2, k=7, patch=4).replace(num_classes=7)
    with pytest.raises(
        SpaceError, match=r"\(16, 1, 5, 5\), but stages.0.blocks.0.mixer.weight .* \(16, 1, 7, 7\)"
    ) as error:
        from_timm(theirs, wider)
    assert error.value.place == "blocks.0.0.fn.0.weight"


def test_positions_of_another_image_size_are_refused(timm: ModuleType) -> None:
    theirs, architecture = vit(timm)
    with pytest.raises(
        SpaceError, match=r"^pos_embed: has the shape \(1, 24, 24\), but stem.pos_embed .* \(1, 24, 28, 28\)"
    ):
        from_timm(theirs, architecture.replace(num_classes=7))


def test_a_block_too_many_is_named(timm: ModuleType) -> None:
    theirs, _ = convmixer(timm)
    with pytest.raises(
        SpaceError, match=r"belongs to stages.0.blocks.1.mixer.weight, which the .*\(16, 1, 5, 5\)"
    ) as error:
        from_timm(theirs, presets.convmixer(16, 1, k=5, patch=4).replace(num_classes=7))
    assert error.value.place == "blocks.1.0.fn.0.weight"


def test_a_block_too_few_is_named(timm: ModuleType) -> None:
    theirs, _ = convmixer(timm)
    with pytest.raises(SpaceError, match=r"^stages.0.blocks.2.mixer.weight: of shape \(16, 1, 5, 5\) .*\(14 missing\)"):
        from_timm(theirs, presets.convmixer(16, 3, k=5, patch=4).replace(num_classes=7))


def test_unknown_tensors_are_refused(timm: ModuleType) -> None:
    theirs, architecture = convmixer(timm)
    weights = theirs.state_dict() | {"blocks.0.gate": torch.zeros(1)}
    with pytest.raises(SpaceError, match=r"^blocks\.0\.gate: has no place"):
        from_timm(weights, architecture.replace(num_classes=7))


def test_the_error_for_a_class_token_says_what_to_do(timm: ModuleType) -> None:
    theirs = timm.models.VisionTransformer(32, 8, num_classes=7, embed_dim=24, depth=1, num_heads=2)
    with pytest.raises(SpaceError, match=r"^cls_token: .*class_token=False"):
        from_timm(theirs, presets.vit(24, 1, heads=2, patch=8))


def test_weights_of_another_mixer_are_refused(timm: ModuleType) -> None:
    theirs, architecture = poolformer(timm)
    weights = theirs.state_dict() | {"stages.0.blocks.0.token_mixer.qkv.weight": torch.zeros(24, 8)}
    with pytest.raises(SpaceError, match=r"^stages\.0\.blocks\.0\.token_mixer\.qkv\.weight: has no place"):
        from_timm(weights, architecture.replace(num_classes=7))


def test_other_families_and_presets_are_refused(timm: ModuleType) -> None:
    with pytest.raises(
        SpaceError,
        match=r"must be of a supported family \(convmixer, poolformer, vit, swin, mixer, byobnet\), found \['conv.weight'\]",
    ):
        from_timm({"conv.weight": torch.zeros(1)}, "mixer_s16")
    with pytest.raises(UnknownSpaceNameError, match="did you mean mixer_s16"):
        from_timm(mlp_mixer(timm)[0], "mixer_s61")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_has_the_eps_and_the_momentum_of_timms_norms(timm: ModuleType, preset: str) -> None:
    name, options = PRESETS[preset]
    with torch.device("meta"):
        theirs, ours = timm.create_model(name, **options), build(presets.get(preset))
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)

    def constants(network: nn.Module) -> list[tuple[float, float]]:
        norms = [module for module in network.modules() if isinstance(module, kinds)]
        return sorted((norm.eps, getattr(norm, "momentum", None) or 0) for norm in norms)

    assert constants(ours) == constants(theirs)


def test_swins_output_is_timms_where_the_eps_shows(timm: ModuleType) -> None:
    """Weights so small that the variance of the first maps is about the eps."""
    theirs, ours, _ = pair(timm, swin)
    for network in (theirs, ours):
        weight = network.get_parameter("patch_embed.proj.weight" if network is theirs else "stem.proj.weight")
        bias = network.get_parameter("patch_embed.proj.bias" if network is theirs else "stem.proj.bias")
        with torch.no_grad():
            weight.mul_(3e-3)
            bias.mul_(3e-3)
    x = images(SIZE)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)
