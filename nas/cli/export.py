"""`nas export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.app import StudyFolder, Verbose, app, expand_path
from nas.cli.completion import complete_trial


@app.command()
def export(
    folder: StudyFolder,
    *,
    trial: Annotated[
        str | None,
        typer.Argument(
            metavar="TRIAL",
            autocompletion=complete_trial,
            help="The number of a trial, or 'best'; none with --pinned.",
        ),
    ] = None,
    out_folder: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FOLDER",
            callback=expand_path,
            help="The folder to write; new, empty, or an earlier export.",
        ),
    ],
    pinned: Annotated[
        bool, typer.Option("--pinned", help="Export each pinned trial to FOLDER/trial-NUMBER instead of one trial.")
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Export the trained network of a trial as a timm model, or those of all pinned trials."""
    from nas.errors import UsageError
    from nas.models import export as models
    from nas.study.content import StudySnapshot

    if (trial is None) != pinned:
        found = "neither" if trial is None else f"both, --pinned and {trial}"
        raise UsageError(f"export: needs a trial (its number, or best) or --pinned, found {found}")
    study = StudySnapshot.of(folder)
    if trial is None:
        for number, written in models.export_pinned(study, out_folder).items():
            _print_model(number, written)
    else:
        _print_model(models.export(study, trial, out_folder), out_folder)


def _print_model(number: int, out_folder: Path) -> None:
    print(f"model: {out_folder} (trial {number})")
    name = json.dumps(f"local-dir:{out_folder}", ensure_ascii=False)
    print(f"load:  import search_space, timm; timm.create_model({name}, pretrained=True)")
