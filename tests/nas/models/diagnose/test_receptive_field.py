"""The receptive field of one convolution is its kernel."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nas.models.diagnose.diagnoses.receptive_field import ReceptiveFields, field_of, map_centre
from nas.models.diagnose.registry import NotApplicable
from nas.models.diagnose.subject import DiagnosedModel, ImageSample


class OneConvolution(nn.Module):
    """A convolution of 3 x 3 with one output."""

    def __init__(self, width: int = 1) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.conv = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.conv.weight = nn.Parameter(torch.randn(width, 3, 3, 3, generator=generator))

    def forward_features(self, x: Tensor) -> Tensor:
        return self.conv(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_features(x).mean(dim=(2, 3))


class Tokens(OneConvolution):
    """The same map as tokens after a class token, as timm's transformers give it."""

    num_prefix_tokens = 1

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.Identity()
        self.patch_embed.grid_size = (8, 8)  # type: ignore[assignment]

    def forward_features(self, x: Tensor) -> Tensor:
        tokens = self.conv(x).flatten(2).transpose(1, 2)
        return torch.cat((tokens.sum(dim=1, keepdim=True), tokens), dim=1)


class Normalised(OneConvolution):
    """A layer norm over channels after a convolution: the sum of its channels is zero for every image."""

    def forward_features(self, x: Tensor) -> Tensor:
        return nn.functional.layer_norm(self.conv(x).permute(0, 2, 3, 1), (8,)).permute(0, 3, 1, 2)


def test_a_layer_norm_does_not_hide_the_gradient(images: ImageSample) -> None:
    single, double = Normalised(8), Normalised(8).double()
    few = images.first(8)
    exact = ImageSample(few.pixels.double(), few.labels, few.class_names)
    fields = [
        ReceptiveFields().measure(DiagnosedModel("norm", module, (0.5,) * 3, (0.5,) * 3), sample, lambda passes: None)
        for module, sample in ((single, few), (double, exact))
    ]
    found, expected = (torch.tensor(field.map, dtype=torch.float64) for field in fields)
    assert torch.allclose(found, expected, atol=1e-5)  # rounding errors alone would differ
    assert float(expected[3:6, 3:6].sum()) == pytest.approx(1)


@pytest.mark.parametrize("module", [OneConvolution(), Tokens()])
def test_a_convolution_has_its_own_kernel(module: OneConvolution, images: ImageSample) -> None:
    std = (0.2, 0.25, 0.5)
    field = ReceptiveFields().measure(
        DiagnosedModel("conv", module.eval(), (0.0,) * 3, std), images, lambda passes: None
    )
    # A pixel of channel c is divided by std[c]; the centre of a map of 8 x 8 is the position (4, 4).
    weight = module.conv.weight.detach()[0] / torch.tensor(std)[:, None, None]
    kernel = weight.abs().sum(dim=0).double()
    expected = torch.zeros(8, 8, dtype=torch.float64)
    expected[3:6, 3:6] = kernel / kernel.sum()
    assert torch.allclose(torch.tensor(field.map, dtype=torch.float64), expected, atol=1e-7)
    assert field.centre == (4, 4)
    assert field.radius_shares[2] == pytest.approx(1)
    assert field.half_radius in (0.0, 1.0, 2**0.5)


def test_the_centre_of_a_coarse_map_lies_between_pixels() -> None:
    assert map_centre((8, 8), (8, 8)) == (4, 4)
    assert map_centre((8, 8), (4, 2)) == (4.5, 5.5)  # the pixels 4 and 5; 4 to 7
    assert map_centre((8, 8), (1, 1)) == (3.5, 3.5)


def test_half_of_a_map_by_hand() -> None:
    total = torch.zeros(5, 5, dtype=torch.float64)
    total[2, 2], total[2, 4], total[0, 0] = 3.0, 2.0, 5.0
    field = field_of(total, (2.0, 2.0))
    assert field.half_radius == 2  # 0.3 within 0, 0.5 within 2
    assert field.radius_shares == pytest.approx((0.3, 0.3, 0.5, 1.0))


def test_a_model_without_features_is_told_apart(images: ImageSample) -> None:
    subject = DiagnosedModel("bare", nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), (0.0,) * 3, (1.0,) * 3)
    with pytest.raises(NotApplicable, match="no `forward_features`"):
        ReceptiveFields().measure(subject, images, lambda passes: None)
