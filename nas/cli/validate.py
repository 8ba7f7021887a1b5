"""`nas validate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.app import AsJson, Verbose, app, check_quotes, expand_path, print_rich
from nas.cli.normalisation import Mean, Std, channel_numbers

if TYPE_CHECKING:
    from trainers.data.types import Part


@app.command()
def validate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="The folder of an export, an ONNX file, or the name of a model of timm's; of a study as DATA, a trial (12, best)"
            " or a full training (trial-12, timm-resnet18/RECIPE/seed-1).",
        ),
    ],
    where: Annotated[
        str,
        typer.Argument(metavar="DATA", help="A folder of images, the folder of a study, or a source such as digits."),
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[data.key=value ...]", help="Overrides, as for `nas search`.")
    ] = None,
    *,
    split: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="test, val or train; by default the first of these that DATA has."),
    ] = None,
    batch_size: Annotated[int, typer.Option(metavar="N", min=1, max=65_536, help="Images at a time.")] = 64,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="cpu, cuda or cuda:1.")] = None,
    mean: Mean = None,
    std: Std = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", callback=expand_path, help="Write a page, too.")
    ] = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Validate a model on labelled images: accuracy, calibration, confusions, throughput.

    Without a test part, DATA are taken as a whole: all images of a folder with a folder for each class.
    """
    import json

    from nas.cli.interruption import interruptible
    from nas.formatting import printable

    check_quotes(overrides or [])
    with interruptible():
        from nas.models.validate import validate as run
        from nas.models.validate.table import validation_table
        from nas.study.destinations import check_file
        from nas.terminal.console import create_console
        from nas.terminal.progress import TerminalDisplay

        if html_file is not None:
            check_file(html_file)
        validation = run(
            model,
            where,
            overrides or [],
            split=_part(split),
            batch_size=batch_size,
            device=device,
            mean=channel_numbers("mean", mean),
            std=channel_numbers("std", std),
            step=TerminalDisplay(create_console(stderr=True)).step,
        )
        if html_file is not None:
            from nas.models.validate.page import write

            write(validation, html_file)
    if as_json:
        print(json.dumps(validation.to_dict(), allow_nan=False))
        return
    print_rich(validation_table(validation))
    if html_file is not None:
        print(f"page: {printable(html_file)}")


def _part(split: str | None) -> Part | None:
    from nas.errors import UnknownNameError
    from trainers.data.types import PARTS

    if split is None:
        return None
    part = next((part for part in PARTS if part == split), None)
    if part is None:
        raise UnknownNameError("--split", "split", split, PARTS)
    return part
