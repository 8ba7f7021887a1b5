"""The command `nas`. Each command imports what it needs when it runs, so that `nas --help` answers at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

try:
    import typer
except KeyboardInterrupt:  # Ctrl-C in the first tenths of a second, before `main` is there to take it
    raise SystemExit(130) from None

from nas.cli.bench import app as bench
from nas.cli.fidelity import fidelity

app = typer.Typer(
    name="nas",
    help="Search for the front of best vision backbones: accuracy against MACs against measured throughput.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(bench, name="bench")

DEFAULT_STUDY = Path("studies/digits.yaml")

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a study.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Trial = Annotated[str, typer.Argument(metavar="TRIAL", help="The number of a trial, or 'best'.")]


def out(*renderables: Any) -> None:
    """Print to standard output."""
    from rich.console import Console

    Console(highlight=False, soft_wrap=False).print(*renderables)


@app.command()
def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STUDY.yaml] [key.sub=value ...]", help="The study (default: studies/digits.yaml) and overrides."
        ),
    ] = None,
    out_folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the study lives (default: runs/NAME).")
    ] = None,
) -> None:
    """Run a study, or go on with it: the same command resumes what was interrupted."""
    from rich.console import Console

    from nas.driver.run import search as run
    from nas.study import config as configs
    from nas.terminal.progress import Display

    path, overrides = study_and_overrides(words or [])
    config, source = configs.load(path, overrides)
    folder = out_folder or Path("runs") / config.name
    console = Console(stderr=True)
    try:
        outcome = run(config, source, folder, Display(console))
    except KeyboardInterrupt:
        if (folder / "study.db").is_file():
            console.print(f"interrupted; nothing is lost: the same command goes on with {folder}", highlight=False)
        raise
    from nas.analysis import results
    from nas.formatting import count
    from nas.terminal import tables as show

    found = results.load(folder)
    if outcome.already_complete:
        out(f"{folder}: this study has its {count(config.trials, 'trial')} already; `trials=N` asks for more")
    out(show.status_panel(found), show.front_table(found))
    out(f"the study    {folder}\nlook at it   nas report {folder}\ntake a model nas export {folder} best --out FOLDER")


def study_and_overrides(words: list[str]) -> tuple[Path, list[str]]:
    """The study file among the `words`, and the `key.sub=value` overrides."""
    from nas.errors import ConfigError

    files = [word for word in words if "=" not in word]
    if len(files) > 1:
        raise ConfigError(files[1], "one study at a time; an override is of the form key.sub=value")
    return Path(files[0]) if files else DEFAULT_STUDY, [word for word in words if "=" in word]


@app.command()
def init(
    file: Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="The file to write.")],
    preset: Annotated[str, typer.Option("--preset", metavar="NAME", help="An architecture of the literature.")],
    data: Annotated[Path, typer.Option("--data", metavar="FOLDER", help="The folder of images.")] = Path("PHOTOS"),
    image_size: Annotated[
        int | None, typer.Option("--image-size", metavar="N", help="Pixels a side (default: the preset's).", min=1)
    ] = None,
) -> None:
    """Write a study around a preset, to be read, changed and searched."""
    from nas.study.template import write_study

    write_study(file, preset, data, image_size)
    print(f"study: {file}")


@app.command()
def status(folder: Folder, as_json: AsJson = False) -> None:
    """How far a study is, what it found, what its time went into."""
    from nas.analysis import results
    from nas.terminal import tables as show

    found = results.load(folder)
    if as_json:
        print(json.dumps(show.status_record(found)))
    else:
        out(show.status_panel(found))


@app.command()
def front(
    folder: Folder, as_json: AsJson = False, as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False
) -> None:
    """The Pareto front: a table, or JSON or CSV for machines."""
    from nas.analysis import results
    from nas.errors import UsageError
    from nas.terminal import tables as show

    if as_json and as_csv:
        raise UsageError("--json, --csv: one of them at a time")
    found = results.load(folder)
    if as_json:
        print(json.dumps(found.front_records()))
    elif as_csv:
        print(found.to_csv(), end="")
    else:
        out(show.front_table(found))


@app.command(name="show")
def show_trial(folder: Folder, trial: Trial) -> None:
    """One trial: its values, its curve and its stages, drawn."""
    from nas.analysis import results
    from nas.terminal import tables as show

    found = results.load(folder)
    out(show.trial_panel(found, found.trial(trial)))


@app.command()
def report(
    folder: Folder,
    out_file: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Default: DIR/report.html.")] = None,
) -> None:
    """One self-contained HTML page of the study; tests the front on the test split, once."""
    from nas import report as reports
    from nas.models import test_split as final

    final.test_front(folder)
    print(f"report: {reports.write(folder, out_file)}")


@app.command()
def export(
    folder: Folder,
    trial: Trial,
    out_folder: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where to write.")],
) -> None:
    """Write the trained network of a trial as a folder that timm loads."""
    from nas.models.export import export as write

    number = write(folder, trial, out_folder)
    print(f"model: {out_folder} (trial {number})")
    print(f'load:  import search_space, timm; timm.create_model("local-dir:{out_folder}", pretrained=True)')


app.command()(fidelity)


def fail(message: str, code: int) -> NoReturn:
    """End with `message` on standard error and exit `code`."""
    print(f"nas: error: {message}", file=sys.stderr)
    sys.exit(code)


def run() -> None:
    """Run the command; errors become one line and an exit code."""
    from nas.errors import StudyError
    from search_space.errors import SpaceError

    try:
        app()
    except StudyError as error:
        fail(str(error), error.exit_code)
    except SpaceError as error:
        fail(str(error), 2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that may not be written to
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)


def main() -> None:
    """The entry point. Exit codes: 0 done, 1 failed, 2 wrong use, 3 nothing feasible, 130 interrupted."""
    try:
        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
