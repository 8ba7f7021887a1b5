"""What software does to images."""

from __future__ import annotations

import io

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from trainers.measuring.corruptions.base import noise_scale, register, side_of
from trainers.measuring.corruptions.sampling import sample_at

PIXEL_SHARE = (0.6, 0.5, 0.4, 0.3, 0.25)  # of the pixels a side that are left
JPEG_QUALITY = (70, 50, 35, 20, 10)  # not scaled: its blocks have 8 pixels in every image
ELASTIC_SHARE = (0.01, 0.015, 0.02, 0.03, 0.04)  # of the side, root mean square
ELASTIC_PERIOD = 4  # the displacement is drawn at every fourth pixel


@register("pixelate", "digital")
def pixelate(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """A low resolution, enlarged without interpolation; a severity takes at least one pixel of each side."""
    enlargement = 1 + (1 / PIXEL_SHARE[severity - 1] - 1) * min(1.0, noise_scale(images))
    size = [max(1, min(round(side / enlargement), side - severity)) for side in images.shape[2:]]
    small = F.interpolate(images, size=size, mode="area")
    return F.interpolate(small, size=images.shape[2:], mode="area")


@register("jpeg_compression", "digital")
def jpeg_compression(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Lossy compression; images that are neither grey nor RGB are compressed channel by channel."""
    pixels = (images.clamp(0, 1) * 255).round().to(torch.uint8).cpu()
    quality = JPEG_QUALITY[severity - 1]
    if pixels.shape[1] in (1, 3):
        compressed = torch.stack([_compressed(image, quality) for image in pixels])
    else:
        channels = pixels.flatten(0, 1).unsqueeze(1)
        compressed = torch.cat([_compressed(channel, quality) for channel in channels]).view(pixels.shape)
    return (compressed.float() / 255).to(images.device)


def _compressed(image: Tensor, quality: int) -> Tensor:
    """An image uint8 `(1 or 3, H, W)` after compression."""
    stream = io.BytesIO()
    array = image.permute(1, 2, 0).squeeze(2).numpy()
    Image.fromarray(array).save(stream, "JPEG", quality=quality)
    with Image.open(stream, formats=["JPEG"]) as opened:
        decoded = torch.frombuffer(bytearray(opened.tobytes()), dtype=torch.uint8)
    return decoded.view(image.shape[1], image.shape[2], image.shape[0]).permute(2, 0, 1)


@register("elastic_transform", "digital")
def elastic_transform(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Each position is displaced by a smooth random field, drawn for each image."""
    coarse = [max(2, -(-side // ELASTIC_PERIOD)) for side in images.shape[2:]]
    field = torch.randn(len(images), 2, *coarse, generator=generator)
    field = F.interpolate(field, size=images.shape[2:], mode="bicubic", align_corners=True)
    rms = field.square().sum(dim=1).mean(dim=(1, 2)).sqrt()
    amplitude = ELASTIC_SHARE[severity - 1] * side_of(images) / rms
    return sample_at(images, (field * amplitude[:, None, None, None]).permute(0, 2, 3, 1))
