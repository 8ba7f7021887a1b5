"""`nas bench`: the command line. Each command imports what it needs when it runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from nas.bench.compare import Contest
    from nas.bench.simulation import RunResult

app = typer.Typer(help="Benchmarks.", no_args_is_help=True, rich_markup_mode=None)

DEFAULT = "pareto,evolution,tpe,nsga2,random"


@app.callback()
def bench() -> None:
    """Benchmarks."""


@app.command()
def search(
    file: Annotated[
        Path, typer.Option("--table", metavar="FILE", help="Architectures with their values: .csv, .tsv or .json.")
    ],
    samplers: Annotated[
        str, typer.Option(metavar="NAMES", help="Of pareto, evolution, tpe, nsga2, nsga2_50, gp, random.")
    ] = DEFAULT,
    trainings: Annotated[int, typer.Option(metavar="N", min=1, help="Trainings of each run.")] = 200,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Runs of each sampler.")] = 10,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="The first seed.")] = 0,
    workers: Annotated[
        list[int] | None, typer.Option(metavar="N", min=1, help="Trainings at a time (default: 1); may be repeated.")
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[:max|min[:cheap][:log]]", help="A column to optimise; may be repeated."),
    ] = None,
    choice: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A column that is a choice; may be repeated.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="NAME", help="The column whose text spells the choices out.")
    ] = None,
    feature: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A further column known before training; may be repeated.")
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="The reference point (default: the worst of the table)."),
    ] = None,
    noise: Annotated[
        bool, typer.Option("--noise/--no-noise", help="A training gives one of the values in a cell, not their mean.")
    ] = False,
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="Runs at a time, each in a process.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.html", help="Write the figure: hypervolume over trainings.")
    ] = None,
) -> None:
    """Compare samplers on a table of architectures that were all trained."""
    from nas.bench.column_roles import ColumnOptions
    from nas.bench.compare import Contest, entries_of
    from nas.bench.samplers import find_sampler
    from nas.bench.table import load_table

    check_out(out_file)
    names = [find_sampler(name).name for name in dict.fromkeys(word.strip() for word in samplers.split(",")) if name]
    wanted = ColumnOptions(tuple(objective or ()), tuple(choice or ()), key, tuple(feature or ()))
    table = load_table(file, wanted, references(reference or []))
    counts = list(dict.fromkeys(workers or [1]))
    entries = entries_of(names or [find_sampler("").name], counts, range(seed, seed + seeds))
    run_contest(Contest(table, entries, trainings, noise), jobs, as_json, out_file)


@app.command()
def throughput(
    space_file: Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="Whose architectures are measured.")],
    sample: Annotated[int, typer.Option(metavar="N", min=3, help="Architectures.")] = 40,
    rounds: Annotated[int, typer.Option(metavar="N", min=2, help="Measurements of each.")] = 2,
    beside: Annotated[int, typer.Option(metavar="N", min=0, help="Trainings beside the measurements.")] = 2,
    threads: Annotated[int, typer.Option(metavar="N", min=1, help="CPU threads of each.")] = 1,
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Images a pass (default: 16 on a CPU, 128 on a GPU).")
    ] = None,
    device: Annotated[str, typer.Option(metavar="cpu|cuda")] = "cpu",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the sample.")] = 0,
    operators_s: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, help="For a table of operators that foretells the figures; 0: none."),
    ] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the same networks again, with trainings beside them: do the figures agree?"""
    from rich.console import Console

    from nas.bench import terminal_tables as show, throughput as bench
    from nas.study import config as configs
    from search_space import SearchSpace

    configs.load(space_file)  # tells what is wrong with it
    wanted = bench.Wanted(sample, rounds, beside, threads, batch_size, device, seed, operators_s)
    err = Console(stderr=True, highlight=False, markup=False)
    with counting(err, "measurements", 2 * rounds * sample) as advance:
        measured = bench.measure(SearchSpace.from_yaml(space_file), wanted, lambda: advance(1))
    found = bench.record(measured, wanted)
    if as_json:
        print(json.dumps(found, allow_nan=False))
    else:
        Console(highlight=False, markup=False).print(show.throughput_table(found))


def run_contest(contest: Contest, jobs: int, as_json: bool, out_file: Path | None) -> None:
    """Run, and tell what came of it; of a contest that is cut short what is finished, before the exception goes on."""
    from rich.console import Console

    from nas.bench import summary, terminal_tables as show
    from nas.bench.compare import compare

    out, err = Console(highlight=False, markup=False), Console(stderr=True, highlight=False, markup=False)
    if not as_json:
        out.print(show.describe_table(contest.table), soft_wrap=True)
    runs: list[RunResult] = []
    ended_by: BaseException | None = None
    try:
        with counting(err, "trainings", len(contest.entries) * contest.length) as advance:
            runs.extend(compare(contest, jobs, advance))  # keeps what came before an exception
    except BaseException as caught:  # Ctrl-C, or a sampler that failed: an hour's work of the others is not thrown away
        ended_by = caught
        why = "interrupted" if isinstance(caught, KeyboardInterrupt) else "failed"
        err.print(f"{why}: {len(runs)} of {len(contest.entries)} runs are finished")
    found = summary.summarize(contest, runs)
    if as_json:
        print(json.dumps(summary.benchmark_to_dict(contest, found), allow_nan=False))
    elif found:
        out.print(show.result_tables(contest, found))
    if out_file is not None and found:
        from nas.bench import figure

        figure.write_page(figure.benchmark_info(contest, found), out_file)
        err.print(f"figure: {out_file}", soft_wrap=True)
    if ended_by is not None:
        raise ended_by


@contextmanager
def counting(console: Console, text: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, nothing elsewhere; gives the function to call with how many of `total` have ended."""
    if not console.is_terminal:
        yield lambda count: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(text), MofNCompleteColumn(), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)


def check_out(file: Path | None) -> None:
    """Raise `UsageError` unless a figure can be written to `file`, before hours are spent on it."""
    from nas.errors import UsageError

    if file is None:
        return
    if file.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--out {file}: a figure is an .html file, found {file.suffix or 'no suffix'!r}")
    if file.is_dir():
        raise UsageError(f"--out {file}: is a folder; name the HTML file to write")


def references(words: list[str]) -> dict[str, float]:
    """`NAME=VALUE` words as a mapping."""
    import math

    from nas.errors import ConfigError

    found: dict[str, float] = {}
    for word in words:
        name, equals, text = word.rpartition("=")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not equals or not name or not math.isfinite(value):
            raise ConfigError(f"--reference {word}", "must be of the form NAME=VALUE, with a finite number")
        if name in found:
            raise ConfigError(f"--reference {word}", f"must name each objective once, found {name!r} twice")
        found[name] = value
    return found
