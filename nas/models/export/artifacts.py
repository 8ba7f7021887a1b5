"""The parts of an export that other packages write: further formats, and the standalone file."""

from __future__ import annotations

import json
from pathlib import Path

from nas.formatting import ratio
from nas.models.export.options import ExportOptions
from nas.models.export.provenance import Provenance
from nas.models.export.trained_model import TrainedModel
from nas.models.formats import Artifact, write_artifact
from nas.models.standalone import write_standalone


def write_artifacts(
    trained: TrainedModel, provenance: Provenance, folder: Path, options: ExportOptions
) -> tuple[Artifact, ...]:
    """Write the network of `trained` in each of the formats of `options`, and its standalone file, to `folder`.

    Raises:
        UsageError: a format cannot hold the network.
        StudyError: what was written gives other outputs.
        MachineError: the disk is full or broken.
    """
    network, images = trained.network, trained.images
    shape = (network.in_chans, *network.architecture.image_size)
    metadata = {
        "name": trained.name,
        "architecture": provenance.architecture_id,
        "label_names": json.dumps(list(images.class_names)),
        "mean": json.dumps(list(images.mean)),
        "std": json.dumps(list(images.std)),
    }
    artifacts = tuple(
        write_artifact(network, shape, name, folder, metadata=metadata) for name in dict.fromkeys(options.formats)
    )
    if options.standalone:
        write_standalone(
            network,
            folder,
            class_names=images.class_names,
            mean=images.mean,
            std=images.std,
            name=trained.name,
            origin=f"trial {trained.trial} of the study {trained.study.name}",
            accuracy=_accuracy_text(provenance),
        )
    return artifacts


def _accuracy_text(provenance: Provenance) -> str:
    """The accuracy that says most about the weights, with its split."""
    accuracies = provenance.accuracies
    if accuracies.test is not None:
        return f"{ratio(accuracies.test)} on the test split of {provenance.data.name}"
    value, kind = (
        (accuracies.proxy, " (proxy: after the short training of the search)")
        if accuracies.retrained is None
        else (accuracies.retrained, "")
    )
    return "" if value is None else f"{ratio(value)} on the validation split of {provenance.data.name}{kind}"
