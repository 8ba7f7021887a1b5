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
    out_folder: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where to write.")],
    verbose: Verbose = False,
) -> None:
    """Write the trained network of a trial as a folder that timm loads."""
    from nas.models.export import export_trial
    from nas.study.stored import StoredStudy

    number = export_trial(StoredStudy.open(folder), trial, out_folder)
    print(f"model: {out_folder} (trial {number})")
    print(f'load:  import search_space, timm; timm.create_model("local-dir:{out_folder}", pretrained=True)')
