"""The text of a standalone file: its docstring, constants, the classes of the network, and how to load it."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from nas.models.standalone import template
from nas.models.standalone.classes.following import Definitions
from nas.models.standalone.classes.inspection import Inspection
from nas.models.standalone.classes.network_classes import NetworkClasses
from nas.models.standalone.classes.recording import Construction, record_constructions
from nas.models.standalone.description import docstring, references
from nas.models.standalone.syntax.expressions import (
    LINE_LENGTH,
    Argument,
    Call,
    Expression,
    constant,
    flat,
    layout,
    quoted,
    repeated,
)
from nas.models.standalone.syntax.printing import docstring_lines
from nas.models.standalone.syntax.source_files import UnfollowedSourceError
from search_space.architecture import Architecture
from search_space.modules.builders import builder_of
from search_space.modules.layers import DropPath
from search_space.modules.network import Network
from search_space.modules.stage import NetworkStage

RESERVED = (
    "CLASS_NAMES", "DTYPES", "IMAGE_SIZE", "MEAN", "Network", "STD", "Stage", "build", "load", "main", "predict", "read_image",
    "read_tensor", "read_weights",
)  # fmt: skip
"""Names that the file has for itself."""
IMPORTED: Mapping[str, Any] = {"Path": Path, "json": json, "math": math, "nn": nn, "sys": sys, "torch": torch}
"""Names that it imports."""
WIDTH = 110
"""Characters of a line of class names."""


@dataclass(frozen=True)
class Contents:
    """What a standalone file says besides the network.

    Args:
        class_names: of the outputs, in their order.
        mean, std: of each channel, pixels taken as 0..1.
        name: of the model.
        origin: where it comes from; empty if unknown.
        accuracy: with the data that it was measured on, such as "0.912 on the validation split"; empty if unknown.
    """

    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    name: str
    origin: str = ""
    accuracy: str = ""


def document(architecture: Architecture, contents: Contents) -> str:
    """The text of `model.py` for the network of `architecture`.

    Raises:
        UnfollowedSourceError: the source of a mixer or residual form cannot become part of the file; names it.
    """
    network, constructions = record_constructions(lambda: Network(architecture))
    return _Document(architecture, contents, network, constructions).text()


class _Document:
    """The file of one network.

    Args:
        architecture, contents: as for `document`.
        network: a network of the architecture.
        constructions: how its modules were constructed.
    """

    def __init__(
        self,
        architecture: Architecture,
        contents: Contents,
        network: Network,
        constructions: dict[int, Construction],
    ) -> None:
        self._architecture, self._contents, self._network = architecture, contents, network
        self._stages = cast(list[NetworkStage], list(network.stages))
        parts = [part for stage in self._stages for part in (stage.transition, *stage.blocks)]
        inspection = Inspection([network.stem, *parts, network.norm, network.fc_norm], constructions)
        self._classes = NetworkClasses(inspection, references(architecture, self._stages))
        packages = {builder_of(kind).__module__.partition(".")[0] for kind in _descriptions(architecture)}
        self._definitions = Definitions(inspection, {"search_space", *packages}, RESERVED, IMPORTED, self._write_class)
        self._drop_path = DropPath if DropPath in inspection.kinds else None

    def _write_class(self, kind: type) -> list[str]:
        return self._classes.write(kind, self._definitions)

    def text(self) -> str:
        """The text of the file."""
        network_class = self._network_class()  # first, because it defines what it needs
        loading, images = self._loading(), self._images()
        definitions = [*self._definitions.texts, template.STAGE, network_class, loading, images]
        header = docstring_lines(
            docstring(
                self._architecture,
                self._contents.name,
                self._contents.origin,
                self._contents.accuracy,
                self._drop_path is not None,
            ),
            0,
        )
        blocks = ["\n".join(header), self._imports(definitions), self._constants()]
        return "\n\n".join(blocks) + "\n\n\n" + "\n\n\n".join(part.strip("\n") for part in definitions if part) + "\n"

    def _define(self, module: nn.Module) -> Expression:
        """The expression that constructs `module`, with all that it needs defined."""
        expression = self._classes.expression(module)
        flat(expression, self._definitions.name_of)
        return expression

    def _network_class(self) -> str:
        network, architecture = self._network, self._architecture
        lines = ["class Network(nn.Module):", f'    """The classifier, `({self._shape()}) -> (B, num_classes)`."""', ""]
        signature = f"    def __init__(self, {self._parameters()}) -> None:"
        if len(signature) > LINE_LENGTH:
            signature = f"    def __init__(\n        self, {self._parameters()}\n    ) -> None:"
        lines.append(signature)
        lines.append("        super().__init__()")
        name_of = self._definitions.name_of
        lines += layout(self._define(network.stem), name_of, 2, "self.stem = ")
        stages = [self._stage(index) for index in range(len(self._stages))]
        lines += layout(
            Call("nn.Sequential", tuple(Argument("", stage) for stage in stages)), name_of, 2, "self.stages = "
        )
        for name in ("norm", "fc_norm"):
            norm = getattr(network, name)
            if not isinstance(norm, nn.Identity):
                lines += layout(self._define(norm), name_of, 2, f"self.{name} = ")
        lines.append("        self.head_drop = nn.Dropout(drop_rate)")
        lines.append(f"        self.head = nn.Linear({network.num_features}, num_classes)")
        text = "\n".join(lines) + "\n"
        if self._drop_path is not None:
            text += template.DROP_PATH.format(name=name_of(self._drop_path))
        height, width = architecture.sizes[-1]
        features = "self.stages(self.stem(x))"
        pooled = "self.forward_features(x).mean(dim=(2, 3), keepdim=True)"
        return text + template.CLASSIFY.format(
            shape=self._shape(),
            width=network.num_features,
            map=f"{height}, {width}",
            check=template.CHECK_SIZE if network.bound_by else "",
            features=features if isinstance(network.norm, nn.Identity) else f"self.norm({features})",
            pooled=(pooled if isinstance(network.fc_norm, nn.Identity) else f"self.fc_norm({pooled})") + ".flatten(1)",
        )

    def _stage(self, index: int) -> Expression:
        """The expression of a stage; errors name its parts."""
        module, stage = self._stages[index], self._architecture.stages[index]
        blocks: list[Expression] = []
        with _place(f"stages[{index}].downsampling"):
            transition = None if isinstance(module.transition, nn.Identity) else self._define(module.transition)
        for block in module.blocks:
            for name, place in (("mixer", f"mixer {stage.mixer.name!r}"), ("mlp", f"{stage.channel_mixer.name!r}")):
                if isinstance(getattr(block, name, None), nn.Module):
                    with _place(place if name == "mixer" else f"channel mixer {place}"):
                        self._define(getattr(block, name))
            with _place(f"residual form {stage.residual!r}"):
                blocks.append(self._define(block))
        arguments = [Argument("", block) for block in repeated(blocks)]
        if transition is not None:
            arguments.append(Argument("transition", transition, None, False))
        return Call("Stage", tuple(arguments))

    def _shape(self) -> str:
        return ", ".join(map(str, ("B", self._architecture.in_chans, *self._architecture.image_size)))

    def _parameters(self) -> str:
        drop_path = ", drop_path_rate: float = 0.0" if self._drop_path is not None else ""
        return f"num_classes: int = len(CLASS_NAMES), drop_rate: float = 0.0{drop_path}"

    def _loading(self) -> str:
        arguments = "num_classes, drop_rate" + (", drop_path_rate" if self._drop_path is not None else "")
        indented = self._parameters().replace(", ", ",\n    ") + ","
        return template.LOAD.format(parameters=self._parameters(), indented=indented, arguments=arguments)

    def _images(self) -> str:
        """Reading of images and the command line; empty where the channels are no colours."""
        mode = {1: "L", 3: "RGB"}.get(self._architecture.in_chans)
        height, width = self._architecture.image_size
        if mode is None:
            return ""
        return template.PREDICT.format(channels=self._architecture.in_chans, height=height, width=width, mode=mode)

    def _imports(self, texts: list[str]) -> str:
        needed = {"json": "import json", "math": "import math", "Path": "from pathlib import Path"}
        needed |= {"torch": "import torch", "nn": "from torch import nn", **self._definitions.imports}
        if self._images():
            needed["sys"] = "import sys"
        if any("OrderedDict(" in text for text in texts):
            needed["OrderedDict"] = "from collections import OrderedDict"
        return "from __future__ import annotations\n\n" + "\n\n".join(_grouped(set(needed.values())))

    def _constants(self) -> str:
        contents, (height, width) = self._contents, self._architecture.image_size
        lines = [f"IMAGE_SIZE = ({height}, {width})  # height and width"]
        for name, values in (("MEAN", contents.mean), ("STD", contents.std)):
            numbers = constant(tuple(float(value) for value in values))
            lines += layout(numbers, lambda kind: kind.__name__, 0, f"{name} = ") if numbers is not None else []
        lines[1] += "  # of each channel, pixels taken as 0 to 1" if len(lines) == 3 else ""
        return "\n".join([*lines, *_class_names(contents.class_names)])


def _class_names(names: tuple[str, ...]) -> list[str]:
    """The constant of class names: in one line, or several in each line."""
    line = f"CLASS_NAMES = ({', '.join(map(quoted, names))}{',' if len(names) == 1 else ''})"
    if len(line) <= WIDTH:
        return [line]
    rows, row = [], ""
    for name in names:
        if row and len(row) + len(quoted(name)) + 3 > WIDTH:
            rows.append(row)
            row = ""
        row += f"{' ' if row else '    '}{quoted(name)},"
    return ["# fmt: off", "CLASS_NAMES = (", *rows, row, ")", "# fmt: on"]


def _descriptions(architecture: Architecture) -> Iterator[type]:
    for stage in architecture.stages:
        yield from (type(stage.mixer), type(stage.channel_mixer), type(stage.residual_form))


def _grouped(statements: set[str]) -> Iterator[str]:
    """The statements that import from Python's library, then the others, each sorted: `import` before `from`."""

    def key(statement: str) -> tuple[bool, str]:
        return statement.startswith("from"), statement.lower()

    of_python = {line for line in statements if line.split()[1].partition(".")[0] in sys.stdlib_module_names}
    for group in (of_python, statements - of_python):
        if group:
            yield "\n".join(sorted(group, key=key))


@contextmanager
def _place(place: str) -> Iterator[None]:
    """Let errors name the `place`."""
    try:
        yield
    except UnfollowedSourceError as error:
        raise UnfollowedSourceError(f"{place}: {error}") from None
