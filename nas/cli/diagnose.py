"""`nas diagnose`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from nas.cli.app import AsJson, Verbose, app, expand_path
from nas.cli.completion import complete_folder, complete_trial
from nas.cli.normalisation import Mean, Std, channel_numbers

DIAGNOSIS_NAMES = (
    "bands", "corruptions", "texture", "attention", "receptive_field", "filters", "channels", "curvature",
)  # fmt: skip
"""For the help alone: the registry imports torch."""


@app.command()
def diagnose(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            autocompletion=complete_trial,
            help="Trials of --study (numbers, or best), its full trainings (trial-12, timm-resnet18/RECIPE/seed-1), folders of"
            " exported models, timm:NAME, ONNX files.",
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--study",
            metavar="DIR",
            callback=expand_path,
            autocompletion=complete_folder,
            help="The folder of the study of the trials; its images are the default.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|SOURCE|DIR", help="Other images, as `nas data` takes them; same classes and size."
        ),
    ] = None,
    split: Annotated[
        Literal["val", "test"],
        typer.Option(help="Validation or test images; test images should not choose a model.", metavar="val|test"),
    ] = "val",
    only: Annotated[
        str | None, typer.Option(metavar="NAMES", help=f"Separated by commas, of {', '.join(DIAGNOSIS_NAMES)}.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Number of images (default: 500 of 32 x 32 pixels, fewer of larger ones)."
        ),
    ] = None,
    mean: Mean = None,
    std: Std = None,
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", callback=expand_path, help="The HTML file to write (default: DIR/diagnosis.html)."
        ),
    ] = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Examine trained models: noise, corruptions, shape and texture, filters, attention, receptive field, curvature.

    All models are given the same images, and are shown side by side in one page.
    """
    from nas.cli.interruption import interruptible

    pages: list[Path] = []
    with interruptible(lambda: _interrupted_text(pages)):
        from nas.models.diagnose import page, tables
        from nas.models.diagnose.request import DiagnosisRequest, open_run
        from nas.models.diagnose.resolve import Normalisation
        from nas.terminal.console import create_console
        from nas.terminal.progress import TerminalDisplay

        names = None if only is None else tuple(only.split(","))
        normalisation = Normalisation(channel_numbers("mean", mean), channel_numbers("std", std))
        request = DiagnosisRequest(tuple(words), folder, data, split, names, limit, out_file, normalisation)
        display = TerminalDisplay(create_console(stderr=True))
        run = open_run(request, display)
        try:
            findings = run.measure(display)
            file = page.write(findings, request.out)
        except KeyboardInterrupt:
            if run.findings.results:
                pages.append(page.write(run.findings, request.out))
            raise
    if as_json:
        print(json.dumps(findings.to_dict() | {"page": str(file)}, allow_nan=False))
        return
    from nas.formatting import printable

    create_console().print(tables.summary(findings))
    print(f"page: {printable(file)}")


def _interrupted_text(pages: list[Path]) -> str:
    from nas.formatting import printable, shell_path

    if not pages:
        return "nothing was written"
    return f"the page holds the diagnoses that were finished: {printable(shell_path(pages[0]))}"
