"""`nas export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.app import StudyFolder, TrialName, Verbose, app


@app.command()
def export(
    folder: StudyFolder,
    trial: TrialName,
    out_folder: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="The folder to write; new, empty, or an earlier export.")
    ],
    verbose: Verbose = False,
) -> None:
    """Export the trained network of a trial as a timm model."""
    from nas.models import export as models
    from nas.study.stored import StoredStudy

    number = models.export(StoredStudy.read(folder), trial, out_folder)
    print(f"model: {out_folder} (trial {number})")
    print(f'load:  import search_space, timm; timm.create_model("local-dir:{out_folder}", pretrained=True)')
