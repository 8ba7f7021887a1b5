"""The options `--mean` and `--std` of the commands that show images to a model."""

from __future__ import annotations

import math
from typing import Annotated

import typer

Mean = Annotated[
    str | None,
    typer.Option(
        "--mean",
        metavar="X,X,X",
        help="Of each channel, pixels taken as 0 to 1, in place of what folders, ONNX files and timm's models say.",
    ),
]
Std = Annotated[str | None, typer.Option("--std", metavar="X,X,X", help="Likewise.")]


def channel_numbers(name: str, text: str | None) -> tuple[float, ...] | None:
    """The numbers of the option `--name`; None if it is not given.

    Raises:
        UsageError: they are no numbers, or deviations that are not above 0.
    """
    from nas.errors import UsageError

    if text is None:
        return None
    try:
        numbers = tuple(float(word) for word in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(map(math.isfinite, numbers)) or (name == "std" and min(numbers) <= 0):
        rule = "numbers above 0" if name == "std" else "numbers"
        raise UsageError(f"--{name}: must be {rule} with commas between them, found {text!r}")
    return numbers
