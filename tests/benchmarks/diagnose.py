"""Which spatial frequencies of noise hurt a convolutional network, and which one with attention?

    python tests/benchmarks/diagnose.py --data CIFAR10_FOLDER --out runs/diagnose [--images 18000] [--epochs 8] [--seeds 2]

Trains a ConvMixer-like and a ViT-like network of 32 x 32 pixels and equal patches from scratch, with the same images, recipe and
number of epochs, one thread, and diagnoses both on test images: accuracy under noise of each octave of spatial frequencies
(`nas diagnose --only bands`), and the share of the accuracy above chance that is kept. Park and Kim (2022) report that noise of
high frequency hurts convolutional networks more, noise of low frequency those with attention. Both networks differ in more than
their mixers: the first has batch norm, the second layer norm, which takes away the brightness of a patch. So the third network
is the second with convolutions instead of attention. `--page FILE` writes the page of the last seed, with the diagnoses of
`--only`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from nas.evaluation.networks import initial_network
from nas.models.diagnose.diagnoses.bands import BandAccuracies, Bands
from nas.models.diagnose.subject import DiagnosedModel, ImageSample
from search_space import Architecture, cost, presets
from trainers.data.config import DataConfig
from trainers.data.dataset import Dataset, load
from trainers.data.prepared import prepare
from trainers.training.config import TrainConfig
from trainers.training.loop import train


def networks() -> dict[str, Architecture]:
    """The networks; all begin with patches of 4 x 4 pixels."""
    return {
        "convolution": presets.convmixer(128, 6, k=5, patch=4, image_size=32, num_classes=10),
        "attention": transformer({"name": "attention", "heads": 4}),
        "conv in ViT": transformer({"name": "conv", "k": 5}),
    }


def transformer(mixer: dict[str, Any]) -> Architecture:
    """A vision transformer with `mixer` in the place of attention."""
    stage = {"mixer": mixer, "width": 80, "depth": 4, "norm": "layer"}
    stem = {"patch": 4, "pos_embed": True}
    return Architecture.from_dict({"stages": [stage], "stem": stem, "image_size": 32, "num_classes": 10})


def trained_subject(name: str, architecture: Architecture, data: Dataset, epochs: int, seed: int) -> DiagnosedModel:
    """The network after its training."""
    network = initial_network(architecture, seed)
    history = train(network, data, TrainConfig(epochs=epochs), seed=seed)
    print(f"seed {seed}: {name} trained, validation accuracy {history[-1].val_accuracy:.4f}", flush=True)
    return DiagnosedModel(name, network.eval(), data.mean, data.std, architecture)


def band_rows(results: Sequence[dict[str, BandAccuracies]]) -> list[dict[str, Any]]:
    """A row for each band and strength: the mean accuracy of each network over seeds, and the shares above chance kept."""
    first = next(iter(results[0].values()))
    rows = []
    for index, label in enumerate(first.labels):
        for strength, rms in enumerate(first.rms):
            row: dict[str, Any] = {"cycles": label, "rms": rms}
            for name in results[0]:
                values = [result[name].accuracy[index][strength] for result in results]
                row[name] = mean(values)
                row[f"{name} kept"] = [
                    (value - 0.1) / (result[name].clean - 0.1) for result, value in zip(results, values, strict=True)
                ]
            rows.append(row)
    return rows


def write_page(
    subjects: Sequence[DiagnosedModel], sample: ImageSample, names: Sequence[str] | None, file: Path
) -> None:
    """Diagnose and write the page."""
    from nas.models.diagnose import page
    from nas.models.diagnose.run import diagnose

    page.write(diagnose(subjects, sample, names), file)


def main() -> None:
    """Train, diagnose and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="a folder with the parts train and test, a folder a class"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the decoded images")
    parser.add_argument("--images", type=int, default=18_000, help="of all splits")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--test", type=int, default=1_000, help="number of test images")
    parser.add_argument("--networks", nargs="+", choices=list(networks()), default=list(networks()))
    parser.add_argument("--page", type=Path, help="an HTML file to write")
    parser.add_argument("--only", help="diagnoses of the page, separated by commas")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = DataConfig(source="folder", path=arguments.data, image_size=32, limit=arguments.images)
    data = load(prepare(config, arguments.out))
    sample = ImageSample.of_split(data.test, data.class_names, arguments.test, "test images")
    print(f"{len(data.train)} training images, {len(sample)} test images, {arguments.epochs} epochs")
    described = {name: networks()[name] for name in arguments.networks}
    for name, architecture in described.items():
        print(f"{name}: {cost(architecture).macs / 1e6:.1f} M MACs, {cost(architecture).params / 1e3:.0f} k parameters")
    results = []
    for seed in range(arguments.seeds):
        subjects = [
            trained_subject(name, architecture, data, arguments.epochs, seed)
            for name, architecture in described.items()
        ]
        results.append({subject.name: Bands().measure(subject, sample, lambda done: None) for subject in subjects})
    if arguments.page is not None:
        write_page(subjects, sample, arguments.only.split(",") if arguments.only else None, arguments.page)
    rows = band_rows(results)
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    names = list(results[0])
    print(f"clean: {', '.join(f'{name} {mean(result[name].clean for result in results):.4f}' for name in names)}")
    print(f"{'cycles/image':>12s} {'RMS':>6s} " + " ".join(f"{name:>12s} {'kept':>6s}" for name in names))
    for row in rows:
        cells = " ".join(f"{row[name]:12.4f} {mean(row[f'{name} kept']):6.3f}" for name in names)
        print(f"{row['cycles']:>12s} {row['rms']:6.3f} {cells}")
    first = results[0][names[0]]
    for name in names:
        thresholds = [[result[name].thresholds[index] for result in results] for index in range(len(first.labels))]
        print(f"thresholds of {name}, by seed: {thresholds}")


if __name__ == "__main__":
    main()
