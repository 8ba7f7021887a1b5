"""The learned filters of modules that multiply spectra: what they let through, and their kernels as images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_space.modules.fno import FNO
from search_space.modules.global_filter import GlobalFilter


@dataclass(frozen=True)
class LearnedFilters:
    """The filters of a layer, for maps of (H, W).

    Args:
        layer: the name of the module.
        size: (H, W).
        gains: for each filter the half spectrum that multiplies that of the input, complex `(filters, H, W//2+1)`; of a
            global filter one for each channel, of an FNO one for each pair of an input and an output channel.
    """

    layer: str
    size: tuple[int, int]
    gains: Tensor

    @property
    def power(self) -> Tensor:
        """The mean square of the gains over filters, `(H, W//2+1)` float64."""
        return self.gains.abs().double().square().mean(dim=0)

    def strongest(self, count: int) -> Tensor:
        """The `count` filters of most energy, complex."""
        energy = self.gains.abs().square().sum(dim=(1, 2))
        return self.gains[energy.topk(min(count, len(energy))).indices]


def filters_of(model: nn.Module) -> list[LearnedFilters]:
    """The layers of `model` with learned filters, in the order of its modules."""
    layers = []
    for name, module in model.named_modules():
        if isinstance(module, GlobalFilter):
            gains = torch.view_as_complex(module.complex_weight.detach().float().contiguous()).permute(2, 0, 1)
            layers.append(LearnedFilters(name, module.size, gains.cpu()))
        elif isinstance(module, FNO):
            layers.append(LearnedFilters(name, module.size, _fno_gains(module).cpu()))
    return layers


def _fno_gains(module: FNO) -> Tensor:
    """The spectrum of each pair of channels, zero where the operator drops modes."""
    height, width = module.size
    upper, lower = (torch.view_as_complex(w.detach().float().contiguous()) for w in (module.weights1, module.weights2))
    channels_in, channels_out, rows, columns = upper.shape
    gains = upper.new_zeros(channels_in, channels_out, height, width // 2 + 1)
    gains[:, :, :rows, :columns] = upper
    gains[:, :, height - lower.shape[2] :, :columns] = lower
    return gains.flatten(0, 1)


def full_spectrum(half: Tensor, size: tuple[int, int]) -> Tensor:
    """Magnitudes of half spectra `(..., H, W//2+1)` as whole ones with the frequency zero in the middle, `(..., H, W)`."""
    height, width = size
    rows = (-torch.arange(height)) % height
    mirrored = half[..., rows, :][..., 1 : width - width // 2].flip(-1)
    return torch.fft.fftshift(torch.cat((half, mirrored), dim=-1), dim=(-2, -1))


def kernels(gains: Tensor, size: tuple[int, int]) -> Tensor:
    """The filters as kernels of a circular convolution, with the position zero in the middle, `(..., H, W)`."""
    return torch.fft.fftshift(torch.fft.irfft2(gains, s=size), dim=(-2, -1))
