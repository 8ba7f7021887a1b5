"""`nas search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.app import Verbose, app, print_rich, split_words


@app.command()
def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STUDY.yaml] [key.sub=value ...]",
            help="The study (a YAML file, or an installed one: digits, folder, cifar10; default: digits), and overrides.",
        ),
    ] = None,
    out_folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The folder of the study (default: runs/NAME).")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Run a study, or continue an interrupted one."""
    from rich.console import Console

    from nas.driver.run import run_search
    from nas.study.config import StudyConfig
    from nas.study.storage import study_exists
    from nas.study.templates import find_study
    from nas.terminal.progress import TerminalDisplay

    path, overrides = study_and_overrides(words or [])
    config = StudyConfig.from_file(find_study(path), *overrides)
    folder = out_folder or Path("runs") / config.name
    console = Console(stderr=True)
    try:
        end = run_search(config, folder, TerminalDisplay(console))
    except KeyboardInterrupt:
        if study_exists(folder):
            console.print(f"interrupted; nothing is lost: the same command continues {folder}", highlight=False)
        raise
    from nas.analysis.results import Results
    from nas.formatting import count
    from nas.terminal import tables

    results = Results.of(end.study)
    if end.was_complete and not results.end_reason:
        trials = count(config.trials, "trial")
        print_rich(f"{folder}: this study already has its {trials}; `trials=N` asks for more")
    print_rich(tables.status_panel(results), tables.front_table(results))
    print_rich(f"study   {folder}\nreport  nas report {folder}\nmodel   nas export {folder} best --out FOLDER")


def study_and_overrides(words: list[str]) -> tuple[str | None, list[str]]:
    """Split `words` into the study, None if there is none, and the `key.sub=value` overrides."""
    from nas.errors import ConfigError

    files, overrides = split_words(words)
    if len(files) > 1:
        raise ConfigError(files[1], "one study at a time; an override is of the form key.sub=value")
    return (files[0] if files else None), overrides
