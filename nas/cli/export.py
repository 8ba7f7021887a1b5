"""`nas export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.app import StudyFolder, TrialName, Verbose, app, expand_path


@app.command()
def export(
    folder: StudyFolder,
    trial: TrialName,
    out_folder: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FOLDER",
            callback=expand_path,
            help="The folder to write; new, empty, or an earlier export.",
        ),
    ],
    verbose: Verbose = False,
) -> None:
    """Export the trained network of a trial as a timm model."""
    from nas.models import export as models
    from nas.study.content import StudySnapshot

    number = models.export(StudySnapshot.of(folder), trial, out_folder)
    print(f"model: {out_folder} (trial {number})")
    name = json.dumps(f"local-dir:{out_folder}", ensure_ascii=False)
    print(f"load:  import search_space, timm; timm.create_model({name}, pretrained=True)")
