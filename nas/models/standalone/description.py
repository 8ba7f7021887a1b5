"""The docstring of a standalone file, and the comments before its classes: what was published where."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator

from torch import nn

from nas.analysis.architecture_text import PartText, describe_known, options_text
from nas.formatting import TIMES, printable, si
from search_space import __version__
from search_space.architecture import Architecture
from search_space.costs import cost
from search_space.modules.stage import NetworkStage
from search_space.stage import Stage

WIDTH = 110
"""Characters of a line of text."""
YEAR = re.compile(r"\b(19|20)\d\d\b")


def docstring(architecture: Architecture, name: str, origin: str, accuracy: str, has_drop_path: bool) -> str:
    """The docstring of the file, as `ast.get_docstring` would return it.

    Args:
        architecture: the architecture.
        name: of the model.
        origin: where it comes from; may be empty.
        accuracy: with the data that it was measured on; may be empty.
        has_drop_path: whether the network has stochastic depth.
    """
    costs, images = cost(architecture), _plain(" x ".join(map(str, (*architecture.image_size, architecture.in_chans))))
    counts = f"{si(costs.params, 'parameters')}, {si(costs.macs, 'multiply-adds')} an image"
    lead = f"Images of {images} become {architecture.num_classes} classes; {counts}. Architecture {architecture.id}."
    facts = [origin and f"From: {origin}", accuracy and f"Accuracy: {accuracy}"]
    facts.append(f"Written by mixfront {__version__}; it needs PyTorch alone, and Pillow to read images.")
    loading = "num_classes=5, drop_path_rate=0.1" if has_drop_path else "num_classes=5"
    usage = [
        "    python model.py PHOTO.jpg                      # the class of an image",
        "",
        "    import model",
        "    network = model.load()                         # trained, in evaluation mode",
        f"    logits = network(images)                       # ({_shape(architecture)}), normalised by MEAN and STD",
        '    model.predict(["PHOTO.jpg"])                   # class and probability of each image',
        f"    network = model.load({loading})",
        "    network.train()                                # fine-tuning, with a new last layer",
    ]
    paragraphs = [
        [
            f"{printable(name)}: an image classifier in one file of PyTorch, with its weights in `model.safetensors` beside it."
        ],
        textwrap.wrap(lead, WIDTH),
        [line for fact in facts if fact for line in textwrap.wrap(printable(fact), WIDTH)],
        list(_table(architecture)),
        usage,
    ]
    return "\n\n".join("\n".join(lines) for lines in paragraphs)


def references(architecture: Architecture, stages: list[NetworkStage]) -> dict[type, list[str]]:
    """Class of a mixer or block -> lines that say what it computes and where it was published."""
    comments: dict[type, list[str]] = {}
    for stage, module in zip(architecture.stages, stages, strict=True):
        for block in module.blocks:
            mlp = getattr(block, "mlp", None)
            if isinstance(mlp, nn.Sequential):
                mlp = next(mlp.children(), None)
            described = {
                type(block): stage.residual_form,
                type(getattr(block, "mixer", None)): stage.mixer,
                type(mlp): stage.channel_mixer,
            }
            for kind, description in described.items():
                comments.setdefault(kind, _reference(type(description)))
    return comments


def _reference(description: type) -> list[str]:
    """What the docstring of the module of `description` says: its first paragraph, or all of it where that names no paper."""
    text = inspect.cleandoc(getattr(sys.modules.get(description.__module__), "__doc__", None) or "")
    first = text.split("\n\n")[0]
    if YEAR.search(first) and not first.endswith(":"):
        text = " ".join(first.split())
    return [part for line in text.splitlines() for part in textwrap.wrap(printable(line), WIDTH + 18) or [""]]


def _table(architecture: Architecture) -> Iterator[str]:
    """One line or more for each part of the network: its name, the shape of its output, and its layers."""
    rows = [(part.title, part.shape, _layers(part)) for part in describe_known(architecture).parts]
    for index, stage in enumerate(architecture.stages):  # after the image and the stem
        title, shape, _ = rows[index + 2]
        rows[index + 2] = (title, shape, _stage(stage, describe_known(architecture).parts[index + 2].transition))
    titles, shapes = (max(len(row[column]) for row in rows) + 2 for column in (0, 1))
    for title, shape, layers in rows:
        margin = "    " + title.ljust(titles) + _plain(shape).ljust(shapes)
        lines = textwrap.wrap(_plain(layers), WIDTH - len(margin)) or [""]
        yield (margin + lines[0]).rstrip()
        yield from (" " * len(margin) + line for line in lines[1:])


def _layers(part: PartText) -> str:
    return " + ".join(f"{name} ({options})" if options else name for name, options in part.layers)


def _stage(stage: Stage, transition: str) -> str:
    """The layers of a stage, with numbers and options that differ from their defaults."""
    mixers = []
    for spec in (stage.mixer, stage.channel_mixer):
        fields, values = type(spec).model_fields, spec.to_dict()
        given = {name: value for name, value in values.items() if name != "name" and value is not None}
        shown = {
            name: value
            for name, value in given.items()
            if type(value) in (int, float) or getattr(spec, name) != fields[name].default
        }
        mixers.append(f"{spec.name} ({options_text(shown)})" if shown else spec.name)
    blocks = f"{stage.depth} x ({' + '.join(mixers)})" if stage.depth > 1 else " + ".join(mixers)
    scale = "" if stage.layer_scale is None else f"layer scale {stage.layer_scale:g}"
    gate = "" if stage.squeeze_excite is None else f"squeeze-excite (reduction {stage.squeeze_excite.reduction})"
    norm = f"{stage.norm} norm, {stage.act}, {stage.residual}"
    return "; ".join(text for text in (transition, blocks, norm, scale, gate) if text)


def _shape(architecture: Architecture) -> str:
    return ", ".join(map(str, ("B", architecture.in_chans, *architecture.image_size)))


def _plain(text: str) -> str:
    """`text` in ASCII as far as signs go."""
    return text.replace(TIMES, "x").replace("→", "->")
