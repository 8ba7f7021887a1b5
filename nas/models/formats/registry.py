"""The registry of formats. Imports no torch, so that a command can check a name and the packages at once.

@register
class Onnx(ModelFormat):
    name = "onnx"
    ...
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from nas.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn

InputShape = tuple[int, int, int]


class ModelFormat(ABC):
    """A format of files that hold a network. First `write` is called, then `load` with the same file.

    Attributes:
        name: the name of the format.
        file_name: the name of its file.
        packages: the packages that it needs, by the names under which they are imported and installed.
        extra: the extra of mixfront that installs them; empty if they come with mixfront.
    """

    name: ClassVar[str]
    file_name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    extra: ClassVar[str]

    @abstractmethod
    def write(self, module: nn.Module, input_shape: InputShape, file: Path, metadata: Mapping[str, str]) -> None:
        """Write `module` to the new file `file`.

        Args:
            module: `(B, C, H, W) -> one tensor`, portable, in evaluation mode, float32, on the CPU.
            input_shape: (C, H, W).
            file: the file; further files that the format needs are written beside it.
            metadata: key -> text, stored in the file.

        Raises:
            FormatRefusedError: the format cannot hold the module.
            OSError: the disk is full or broken.
        """

    @abstractmethod
    def load(self, file: Path) -> Callable[[torch.Tensor], torch.Tensor]:
        """What runs a file that `write` has just written, `(B, C, H, W) -> outputs`, on the CPU, with the threads of torch.

        Raises:
            FormatRefusedError: the runtime refuses the file.
        """


FORMATS: dict[str, ModelFormat] = {}
"""Name -> format."""

F = TypeVar("F", bound=type[ModelFormat])


def register(model_format: F) -> F:
    """Register the decorated class.

    Raises:
        ValueError: the name is already registered.
    """
    if model_format.name in FORMATS:
        raise ValueError(f"format {model_format.name!r} is already registered")
    FORMATS[model_format.name] = model_format()
    return model_format


def unregister(name: str) -> None:
    """Remove the format `name`."""
    del FORMATS[name]


def check_format(name: str) -> ModelFormat:
    """The format `name`, whose packages are installed.

    Raises:
        UnknownNameError: there is no such format; the error lists the names and the closest match.
        UsageError: a package is missing; the error names the extra that installs it.
    """
    if name not in FORMATS:
        raise UnknownNameError("format", "format", name, FORMATS)
    model_format = FORMATS[name]
    missing = [package for package in model_format.packages if importlib.util.find_spec(package) is None]
    if missing:
        rule = f"needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed"
        raise UsageError(f'format {name}: {rule}: pip install "mixfront[{model_format.extra}]"')
    return model_format
