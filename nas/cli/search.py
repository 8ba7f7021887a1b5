"""`nas search`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.app import Verbose, app, expand_path, print_rich, split_words
from nas.cli.completion import complete_study_or_folder

if TYPE_CHECKING:
    from nas.driver.display import Display
    from nas.driver.run import SearchEnd
    from nas.study.config import StudyConfig


@app.command()
def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STUDY.yaml] [key.sub=value ...]",
            autocompletion=complete_study_or_folder,
            help="The study (a YAML file, an installed one: digits, folder, cifar10, or the folder of a study; default:"
            " digits), and overrides.",
        ),
    ] = None,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", callback=expand_path, help="The folder of the study (default: runs/NAME)."
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="First repeat the trials that failed, each once.")
    ] = False,
    trials: Annotated[int | None, typer.Option("--trials", metavar="N", help="The same as trials=N.")] = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="HOST:PORT",
            help="The Ray cluster to run on, or auto for that of this machine; the same as resources.address=.",
        ),
    ] = None,
    wait_for_cluster: Annotated[
        str | None,
        typer.Option(
            "--wait-for-cluster",
            metavar="DURATION",
            help="How long to wait for a cluster that is lost or has no node; the same as resources.wait_for_cluster=.",
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage",
            metavar="URL",
            help="A PostgreSQL database that several drivers share: postgresql://USER[:PASSWORD]@HOST[:PORT]/DATABASE"
            " (PGPASSWORD and ~/.pgpass are read, too). Default: a file in the folder of the study.",
        ),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Run a study, or continue an interrupted one."""
    from nas.driver.run import run_search
    from nas.formatting import printable, shell_path
    from nas.study.config import StudyConfig
    from nas.study.database.storage import study_exists
    from nas.study.database.storage_url import StorageUrl
    from nas.study.layout import CONFIG, default_folder
    from nas.study.templates import find_study
    from nas.terminal.console import create_console
    from nas.terminal.progress import TerminalDisplay

    url = None if storage is None else StorageUrl.parse(storage, "--storage")
    path, overrides = study_and_overrides(words or [])
    overrides += [] if trials is None else [f"trials={trials}"]
    overrides += [] if address is None else [f"resources.address={address}"]
    overrides += [] if wait_for_cluster is None else [f"resources.wait_for_cluster={wait_for_cluster}"]
    file = find_study(path)
    if study_exists(file):  # the folder of a study: its own configuration
        file, out_folder = file / CONFIG, out_folder or file
    config = StudyConfig.from_file(file, *overrides)
    folder = out_folder or default_folder(config.name)
    console = create_console(stderr=True)
    display = TerminalDisplay(console, create_console())
    try:
        end = run_search(config, folder, display, retry_failed=retry_failed, storage=url)
    except KeyboardInterrupt:
        if study_exists(folder):
            text = f"interrupted; nothing is lost: the same command continues {printable(shell_path(folder))}"
            console.print(text, soft_wrap=True)
        raise
    print_end(config, folder, end, display)


def print_end(config: StudyConfig, folder: Path, end: SearchEnd, display: Display) -> None:
    """Print the status and the front of a search that has ended, and the commands that may follow."""
    from nas.analysis.baseline import baseline_warning
    from nas.analysis.results import Results
    from nas.driver.storage_retry import StorageRetry
    from nas.formatting import count, shell_path
    from nas.study.config_file.durations import duration_word
    from nas.study.trials import is_trained
    from nas.terminal import tables

    retry = StorageRetry(display.warn)  # the server may be away just now
    results = retry.wait_for(lambda: Results.of(end.study), lambda: None)
    if end.was_complete and not results.end_reason:
        print(f"{folder}: this study already has its {count(config.trials, 'trial')}; `trials=N` asks for more")
    if end.is_out_of_time and config.time_budget is not None:
        trained = sum(map(is_trained, retry.wait_for(lambda: end.study.trials, lambda: None)))
        text = f"the time budget of {duration_word(config.time_budget)} is used up after {trained} of"
        print(f"{text} {count(config.trials, 'trial')}; the same command continues")
    print_rich(tables.status_panel(results), tables.front_table(results))
    if (warning := baseline_warning(results)) is not None:
        display.warn(warning)
    path = shell_path(folder)
    print(f"study   {folder}\nreport  nas report {path}")
    if results.best is not None:
        print(f"model   nas export {path} best --out FOLDER")


def study_and_overrides(words: list[str]) -> tuple[str | None, list[str]]:
    """Split `words` into the study, None if there is none, and the `key.sub=value` overrides."""
    from nas.errors import ConfigError

    files, overrides = split_words(words)
    if len(files) > 1:
        raise ConfigError(files[1], "one study at a time; an override is of the form key.sub=value")
    return (files[0] if files else None), overrides
