"""`nas fidelity`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.app import AsJson, Verbose, app, expand_path, split_words
from nas.cli.completion import complete_study_or_folder


@app.command()
def fidelity(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="STUDY.yaml|DIR [key.sub=value ...]",
            autocompletion=complete_study_or_folder,
            help="The study (a YAML file, an installed study or a folder), and overrides.",
        ),
    ],
    sample: Annotated[
        int, typer.Option(metavar="N", help="Number of architectures, spread over the costs of the space.")
    ] = 16,
    multiple: Annotated[
        float, typer.Option(metavar="X", help="Epochs of the large budget per epoch of the proxy; above 1.")
    ] = 4.0,
    seeds: Annotated[
        int, typer.Option(metavar="N", help="Number of trainings of each architecture at each budget.")
    ] = 3,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            callback=expand_path,
            help="The folder of the trainings (default: fidelity in the folder of the study).",
        ),
    ] = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Measure how well a study's proxy ranks architectures.

    The ranking of the proxy, which is the training of the study, is compared with those of longer trainings, of cheaper
    trainings and of training-free scores.
    """
    from nas.fidelity.request import FidelityRequest, fidelity_study
    from nas.fidelity.run import run_fidelity
    from nas.formatting import printable, shell_path
    from nas.terminal.console import create_console
    from nas.terminal.progress import TerminalDisplay

    request = FidelityRequest(sample, multiple, seeds)
    path, overrides = study_and_overrides(words)
    study = fidelity_study(path, overrides, out_folder)
    console = create_console(stderr=True)
    try:
        findings = run_fidelity(study, request, TerminalDisplay(console))
    except KeyboardInterrupt:
        if study.out.is_dir():
            text = "interrupted; finished trainings are kept: the same command continues"
            console.print(f"{text} {printable(shell_path(study.out))}", soft_wrap=True)
        raise
    from nas.fidelity import page, tables
    from nas.fidelity.verdict import verdict

    file = page.write(findings, study.out / page.FILE)
    if as_json:
        print(json.dumps(findings.to_dict() | {"verdict": verdict(findings), "page": str(file)}, allow_nan=False))
        return
    create_console().print(tables.summary(findings))
    print(f"page: {file}")


def study_and_overrides(words: list[str]) -> tuple[Path, list[str]]:
    """Split `words` into the study and the `key.sub=value` overrides."""
    from nas.errors import UsageError
    from nas.study.templates import find_study

    studies, overrides = split_words(words)
    if len(studies) != 1:
        raise UsageError(f"fidelity: needs one study, its file or its folder, found {', '.join(studies) or 'none'}")
    return find_study(studies[0]), overrides
