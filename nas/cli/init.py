"""`nas init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.app import Verbose, app, expand_path
from nas.cli.completion import complete_preset


@app.command()
def init(
    file: Annotated[Path, typer.Argument(metavar="STUDY.yaml", callback=expand_path, help="The study file to write.")],
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="NAME",
            autocompletion=complete_preset,
            help="Search around this published architecture (default: none).",
        ),
    ] = None,
    data: Annotated[Path, typer.Option("--data", metavar="FOLDER", help="The folder of images.")] = Path("PHOTOS"),
    image_size: Annotated[
        int | None,
        typer.Option(
            "--image-size",
            metavar="N",
            help="Height and width of images in pixels (default: those of the preset, or 32).",
            min=4,  # `MIN_IMAGE_SIZE` and `MAX_IMAGE_SIZE` of `trainers.data.types`, which takes a while to import
            max=1024,
        ),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Write a study file, a starter or one around a preset."""
    from nas.study.templates import write_preset_study, write_starter_study

    if preset is None:
        write_starter_study(file, data, image_size or 32)
    else:
        write_preset_study(file, preset, data, image_size)
    print(f"study: {file}")
