"""Shuffled patches are permutations; a swapped amplitude keeps the phase."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.models.diagnose.diagnoses.texture import Texture, conflict_partners, grids_of, shuffle_patches, swap_amplitude
from nas.models.diagnose.registry import NotApplicable
from nas.models.diagnose.subject import DiagnosedModel, ImageSample


def numbered(batch: int, channels: int, height: int, width: int) -> Tensor:
    """Images whose values are all different within a channel, and the same in all channels but for a constant."""
    places = torch.arange(height * width).float().view(1, 1, height, width)
    return places + 1000 * torch.arange(channels).view(1, -1, 1, 1) + torch.zeros(batch, 1, 1, 1)


@pytest.mark.parametrize(("size", "grid"), [((8, 8), 2), ((8, 8), 8), ((10, 7), 4)])
def test_shuffling_moves_whole_patches(size: tuple[int, int], grid: int) -> None:
    images = numbered(6, 2, *size)
    shuffled = shuffle_patches(images, grid, seed=0)
    rows, columns = size[0] // grid, size[1] // grid
    for image, moved in zip(images, shuffled, strict=True):
        assert sorted(moved.flatten().tolist()) == sorted(image.flatten().tolist())
        assert torch.equal(moved[1] - moved[0], torch.full(size, 1000.0))  # channels move together
        assert torch.equal(moved[:, rows * grid :], image[:, rows * grid :])
        assert torch.equal(moved[:, :, columns * grid :], image[:, :, columns * grid :])
        patches = {
            tuple(image[0, r * rows : (r + 1) * rows, c * columns : (c + 1) * columns].flatten().tolist())
            for r in range(grid)
            for c in range(grid)
        }
        for r in range(grid):
            for c in range(grid):
                patch = moved[0, r * rows : (r + 1) * rows, c * columns : (c + 1) * columns]
                patches.remove(tuple(patch.flatten().tolist()))
        assert not patches
    assert len({tuple(image.flatten().tolist()) for image in shuffled}) > 1  # each image in its own order
    assert torch.equal(shuffled, shuffle_patches(images, grid, seed=0))


@pytest.mark.parametrize("size", [(8, 8), (9, 6)])
def test_the_phase_is_of_one_image_and_the_amplitude_of_the_other(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes, textures = (torch.rand(4, 3, *size, generator=generator, dtype=torch.float64) for _ in range(2))
    spectrum = np.fft.fft2(swap_amplitude(shapes, textures).numpy())
    assert np.allclose(np.abs(spectrum), np.abs(np.fft.fft2(textures.numpy())), atol=1e-9)
    assert np.allclose(np.exp(1j * np.angle(spectrum)), np.exp(1j * np.angle(np.fft.fft2(shapes.numpy()))), atol=1e-7)


def test_partners_are_the_next_image_of_another_class() -> None:
    assert conflict_partners(torch.tensor([0, 0, 1, 2, 2, 0])).tolist() == [2, 2, 3, 5, 5, 2]
    assert conflict_partners(torch.tensor([1, 1])).tolist() == [-1, -1]
    assert grids_of((4, 100)) == (2, 4)


class ByPhase(nn.Module):
    """Predicts the class of the stored image whose phase correlates best: it sees shapes alone."""

    def __init__(self, images: Tensor, labels: Tensor, classes: int) -> None:
        super().__init__()
        self.phases = torch.polar(torch.ones(()), torch.fft.fft2(images).angle()).flatten(1)
        self.members = nn.functional.one_hot(labels, classes).float()

    def forward(self, x: Tensor) -> Tensor:
        phases = torch.polar(torch.ones(()), torch.fft.fft2(x).angle()).flatten(1)
        return (phases @ self.phases.conj().T).real.softmax(dim=1) @ self.members


def test_a_model_of_phases_decides_by_shape(images: ImageSample) -> None:
    subject = DiagnosedModel("phase", ByPhase(images.pixels, images.labels, 3), (0.0,) * 3, (1.0,) * 3)
    result = Texture().measure(subject, images, lambda passes: None)
    assert (result.clean, result.conflicts, result.by_phase, result.by_amplitude) == (1, 40, 1, 0)
    assert result.shape_share == 1
    assert list(result.shuffled) == [2, 4, 8]
    assert max(result.shuffled.values()) < 0.8


def test_images_of_one_class_have_no_conflict(images: ImageSample) -> None:
    alike = ImageSample(images.pixels, torch.zeros_like(images.labels), images.class_names)
    subject = DiagnosedModel("phase", ByPhase(images.pixels, images.labels, 3), (0.0,) * 3, (1.0,) * 3)
    with pytest.raises(NotApplicable, match="the images are of one class"):
        Texture().measure(subject, alike, lambda passes: None)
