"""`README.md`: the model card, with the front matter that the Hugging Face Hub and timm read.

Every accuracy is given with its split, and with what it is: that of the short training of a search is a proxy, by which the
architecture was chosen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from nas.formatting import count, dimensions, printable, ratio, si
from nas.models.export.card_snippets import usage
from nas.models.export.drawing import DRAWING_FILE
from nas.models.export.markdown import code, escape, table
from nas.models.export.provenance import Accuracies, Provenance
from nas.models.export.trained_model import TrainedModel
from nas.models.formats import Artifact

CARD_FILE = "README.md"
MAX_LISTED_CLASSES = 20
TAGS = ("image-classification", "timm", "mixfront", "neural-architecture-search")

_ACCURACIES = (
    ("proxy", "validation", "proxy: short training of the search, by which the architecture was chosen"),
    ("retrained", "validation", "full training"),
    ("test", "test", "no choice was based on it"),
)
"""Field of `Accuracies`, split, and what it is."""
_SPLIT_KEYS = {"validation": "val", "test": "test"}
_CONTENTS = {
    "config.json": "the configuration that timm reads, with the names of the classes",
    "model.safetensors": "the weights",
    "class_map.txt": "the classes in the order of the outputs, for timm's readers",
    "architecture.yaml": "the architecture, as text",
    "architecture.svg": "the drawing above",
    "train.yaml": "a recipe for timm's `train.py`",
    "provenance.json": "where the model comes from: study, trial, seeds, versions, data, accuracies",
    "model.py": "the network in plain PyTorch",
    "model.onnx": "the network for ONNX Runtime",
    "model.pt2": "the network as a program of `torch.export`",
    "model.pte": "the network for ExecuTorch",
}


def write_card(trained: TrainedModel, provenance: Provenance, artifacts: Sequence[Artifact], folder: Path) -> None:
    """Write the card of the model whose other files are in `folder`."""
    names = {file.name for file in folder.iterdir()}
    class_map = "class_map.txt" if "class_map.txt" in names else ""
    snippets = usage(trained, artifacts, standalone="model.py" in names, class_map=class_map)
    lines = [
        "---",
        yaml.safe_dump(front_matter(provenance), sort_keys=False, allow_unicode=True).rstrip(),
        "---",
        "",
        *_summary(trained, provenance),
        *_results(provenance, artifacts),
        *_files(names),
        *snippets,
        "",
        *_origin(provenance),
    ]
    (folder / CARD_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def front_matter(provenance: Provenance) -> dict[str, Any]:
    """What the Hugging Face Hub reads: library, task, data set, and results with metric, data set and split.

    There is no `license`: that of a model is for its owner to choose.
    """
    data_id = re.sub(r"[^a-z0-9._-]+", "-", provenance.data.name.lower()).strip("-.") or "images"
    results = [
        {
            "task": {"type": "image-classification", "name": "Image Classification"},
            "dataset": {"name": printable(provenance.data.name), "type": data_id, "split": split},
            "metrics": [{"type": "accuracy", "value": value, "name": f"Accuracy ({meaning})", "verified": False}],
        }
        for value, split, meaning in _known_accuracies(provenance.accuracies)
    ]
    matter = {
        "library_name": "timm",
        "pipeline_tag": "image-classification",
        "tags": list(TAGS),
        "datasets": [data_id],
        "metrics": ["accuracy"],
    }
    return {**matter, "model-index": [{"name": provenance.name, "results": results}]} if results else matter


def _known_accuracies(accuracies: Accuracies) -> Iterator[tuple[float, str, str]]:
    for field, split, meaning in _ACCURACIES:
        value = getattr(accuracies, field)
        if value is not None:
            yield float(value), split, meaning


def _summary(trained: TrainedModel, provenance: Provenance) -> Iterator[str]:
    images = trained.images
    yield f"# {escape(provenance.name)}"
    yield ""
    size = dimensions(*images.image_size, images.in_chans)
    yield (
        f"A classifier of images of {size} (height, width, channels) into {images.num_classes} classes,"
        f" trained on {escape(images.name)}. Its architecture was found by the neural architecture search mixfront."
    )
    yield ""
    shown = ", ".join(escape(name) for name in images.class_names[:MAX_LISTED_CLASSES])
    more = f", ... ({images.num_classes} in all)" if images.num_classes > MAX_LISTED_CLASSES else ""
    yield f"Classes: {shown}{more}."
    yield ""
    yield f"![The network from the image to the head]({DRAWING_FILE})"
    yield ""


def _results(provenance: Provenance, artifacts: Sequence[Artifact]) -> Iterator[str]:
    yield from ("## Results", "")
    rows = [
        (ratio(value), split, f"{provenance.data.images.get(_SPLIT_KEYS[split], 0):,}", meaning)
        for value, split, meaning in _known_accuracies(provenance.accuracies)
    ]
    yield from table(("accuracy", "split", "images", "what it is"), rows)
    if provenance.accuracies.test is None:
        yield from ("", "It was not tested: `nas report STUDY` tests the front of a study, once.")
    yield ""
    costs = provenance.costs
    facts = [("MACs of an image", si(costs["macs"])), ("parameters", si(costs["params"]))]
    facts += [("operations of Fourier transforms", si(costs["fft_flops"]))] if costs.get("fft_flops") else []
    images_per_s = provenance.values.get("images_per_s")
    if images_per_s is not None:
        device = escape(provenance.device or "an unknown device")
        is_predicted = "images_per_s" in provenance.predicted_values
        measured = "predicted, not measured" if is_predicted else f"on {device}"
        facts.append(("images per second in the search", f"{si(images_per_s)} {measured}"))
    yield from table(("cost", "value"), facts)
    yield ""
    if artifacts:
        heads = ("format", "file", "size", "largest difference of an output", "images per second here", "written by")
        yield from table(heads, map(_artifact_row, artifacts))
        yield ""


def _artifact_row(artifact: Artifact) -> tuple[str, ...]:
    return (
        artifact.format,
        code(artifact.file.name),
        f"{artifact.size_bytes / 1e6:.2f} MB",
        f"{artifact.largest_difference:.1e}",
        f"{si(artifact.images_per_s)} (batches of {artifact.batch_size})",
        ", ".join(f"{escape(package)} {escape(version)}" for package, version in artifact.producer.items()),
    )


def _files(names: set[str]) -> Iterator[str]:
    yield from ("## Files", "")
    yield from table(
        ("file", "content"), [(code(name), content) for name, content in _CONTENTS.items() if name in names]
    )
    yield ""


def _origin(provenance: Provenance) -> Iterator[str]:
    yield from ("## Origin", "")
    data = provenance.data
    splits = ", ".join(f"{number:,} {name}" for name, number in data.images.items())
    licence = escape(data.licence) if data.licence else "not known to mixfront"
    trained = " ".join(f"{name} {value}" for name, value in provenance.trained_with.items() if name in _SHOWN_VERSIONS)
    rows = [
        ("study, trial", f"{escape(provenance.study)}, {provenance.trial}"),
        ("architecture", code(provenance.architecture_id)),
        ("training", f"{count(provenance.epochs, 'epoch')}, seed {provenance.training_seed}"),
        ("data", f"{escape(data.name)}: {splits}; fingerprint {code(data.fingerprint)}"),
        ("licence of the data", licence),
        ("trained with", escape(trained) or "not known"),
    ]
    yield from table(("", ""), rows)
    yield ""
    yield "All of it, as JSON: `provenance.json`. Choose a licence for the model before you publish it (`license:` at the top)."


_SHOWN_VERSIONS = ("mixfront", "torch", "timm")
