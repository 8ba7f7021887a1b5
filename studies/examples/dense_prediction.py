"""An exported model as the backbone of a detector and of a segmentation network, with torchvision's feature pyramid.

    $ python dense_prediction.py FOLDER

trains both for a few steps on random images, to show that every shape fits.
"""

from __future__ import annotations

import sys
from collections import OrderedDict

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

import search_space  # noqa: F401  (registers the model with timm)


class PyramidBackbone(nn.Module):
    """The features of an exported model, all with the same number of channels, from fine to coarse.

    `(B, C, H, W) -> {"0": (B, out_channels, H/r0, W/r0), "1": ..., "pool": ...}`, r0 the reduction of the first feature.

    Args:
        model: what `timm.create_model` takes: "local-dir:FOLDER" or "hf-hub:USER/NAME".
        out_channels: channels of each level.
    """

    def __init__(self, model: str, out_channels: int = 64) -> None:
        super().__init__()
        self.body = timm.create_model(model, pretrained=True, features_only=True)
        channels = self.body.feature_info.channels()
        self.reductions: list[int] = self.body.feature_info.reduction()
        self.pyramid = FeaturePyramidNetwork(channels, out_channels, extra_blocks=LastLevelMaxPool())
        self.out_channels = out_channels  # torchvision's detectors read it

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        features = self.body(images)
        return self.pyramid(OrderedDict((str(level), maps) for level, maps in enumerate(features)))


class SegmentationNetwork(nn.Module):
    """The classes of all pixels, `(B, C, H, W) -> (B, num_classes, H, W)`: the sum of the pyramid's levels, and a convolution.

    Args:
        backbone: gives the levels.
        num_classes: classes of a pixel.
    """

    def __init__(self, backbone: PyramidBackbone, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Conv2d(backbone.out_channels, num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        levels = list(self.backbone(images).values())
        summed = sum(F.interpolate(level, size=levels[0].shape[-2:], mode="bilinear") for level in levels)
        return F.interpolate(self.head(summed), size=images.shape[-2:], mode="bilinear")


def create_detector(backbone: PyramidBackbone, num_classes: int, image_size: tuple[int, int]) -> RetinaNet:
    """A RetinaNet whose anchors have four times the stride of their level.

    Args:
        backbone: gives the levels.
        num_classes: classes of objects, with the background.
        image_size: height and width of the images, to which mixers may be bound.
    """
    strides = [*backbone.reductions, 2 * backbone.reductions[-1]]
    anchors = AnchorGenerator(tuple((4 * stride,) for stride in strides), ((0.5, 1.0, 2.0),) * len(strides))
    cfg = backbone.body.pretrained_cfg
    mean, std = list(cfg["mean"]), list(cfg["std"])
    sizes = {"min_size": min(image_size), "max_size": max(image_size), "fixed_size": image_size[::-1]}
    return RetinaNet(
        backbone, num_classes, anchor_generator=anchors, image_mean=mean, image_std=std, size_divisible=1, **sizes
    )


def main(model: str) -> None:
    """Train a detector and a segmentation network of three classes each for a few steps."""
    torch.manual_seed(0)
    channels, *size = timm.create_model(model).pretrained_cfg["input_size"]
    height, width = size
    images = torch.rand(4, channels, height, width)
    box = torch.tensor([[0.0, 0.0, width / 2, height / 2]])
    targets = [{"boxes": box, "labels": torch.tensor([1])} for _ in images]
    masks = torch.randint(0, 3, (4, height, width))

    detector = create_detector(PyramidBackbone(model), 3, (height, width))
    segmenter = SegmentationNetwork(PyramidBackbone(model), 3)
    for name, network, loss in (
        ("detection", detector, lambda: sum(detector(list(images), targets).values())),
        ("segmentation", segmenter, lambda: F.cross_entropy(segmenter(images), masks)),
    ):
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
        losses = []
        for _ in range(5):
            optimizer.zero_grad()
            total = loss()
            total.backward()
            optimizer.step()
            losses.append(total.item())
        print(f"{name}: loss {losses[0]:.3f} -> {losses[-1]:.3f}")
    print("boxes of an image:", detector.eval()(list(images))[0]["boxes"].shape)


if __name__ == "__main__":
    main(f"local-dir:{sys.argv[1]}")
