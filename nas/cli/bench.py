"""`nas bench`."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.app import AsJson, Verbose, app, expand_path
from nas.cli.completion import complete_study

if TYPE_CHECKING:
    from nas.bench.compare import Contest
    from nas.bench.simulation import RunResult

bench_app = typer.Typer(
    help="Benchmark samplers, or throughput measurements.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(bench_app, name="bench")

DEFAULT_SAMPLERS = "pareto,evolution,tpe,nsga2,random"


@bench_app.callback()
def bench() -> None:
    """Benchmark samplers, or throughput measurements."""


@bench_app.command()
def search(
    file: Annotated[
        Path,
        typer.Option(
            "--table",
            metavar="FILE",
            callback=expand_path,
            help="The table of trained architectures: .csv, .tsv or .json.",
        ),
    ],
    samplers: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Comma-separated; known: pareto, pareto_4, pareto_16, evolution, tpe, nsga2, nsga2_50, gp, random.",
        ),
    ] = DEFAULT_SAMPLERS,
    trainings: Annotated[int, typer.Option(metavar="N", min=1, help="Number of trainings of each run.")] = 200,
    seeds: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help="Number of runs of each sampler, with different seeds.")
    ] = 10,
    seed: Annotated[int, typer.Option(metavar="N", min=0, max=2**31 - 1, help="The first seed.")] = 0,
    workers: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N", min=1, max=10_000, help="Number of trainings at a time (default: 1); may be repeated."
        ),
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[:max|min[:cheap][:log]]", help="A column to optimise; may be repeated."),
    ] = None,
    choice: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A column that is a choice; may be repeated.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="NAME", help="The column whose text is split into choices.")
    ] = None,
    feature: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A further column known before training; may be repeated.")
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Value of an objective at the reference point (default: the worst of the table); may be repeated.",
        ),
    ] = None,
    noise: Annotated[
        bool,
        typer.Option(
            "--noise/--no-noise", help="Whether a training gives a random one of the values in a cell, or their mean."
        ),
    ] = False,
    jobs: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help="Number of runs at a time, each in a process.")
    ] = 1,
    as_json: AsJson = False,
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE.html", callback=expand_path, help="Write a figure of the hypervolume over trainings."
        ),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Compare samplers on a table of trained architectures."""
    from nas.bench.column_roles import ColumnOptions
    from nas.bench.compare import Contest, create_entries
    from nas.bench.samplers import find_sampler
    from nas.bench.table import load_table

    check_out(out_file)
    names = [find_sampler(name).name for name in dict.fromkeys(word.strip() for word in samplers.split(",")) if name]
    options = ColumnOptions(tuple(objective or ()), tuple(choice or ()), key, tuple(feature or ()))
    table = load_table(file, options, parse_references(reference or []))
    counts = list(dict.fromkeys(workers or [1]))
    entries = create_entries(names or [find_sampler("").name], counts, range(seed, seed + seeds))
    run_contest(Contest(table, entries, trainings, noise), jobs, as_json, out_file)


@bench_app.command()
def throughput(
    space_file: Annotated[
        str,
        typer.Argument(
            metavar="STUDY",
            autocompletion=complete_study,
            help="The study whose architectures are measured: a file, or an installed one.",
        ),
    ],
    sample: Annotated[int, typer.Option(metavar="N", min=3, help="Number of architectures.")] = 40,
    rounds: Annotated[int, typer.Option(metavar="N", min=2, help="Number of measurements of each architecture.")] = 2,
    beside: Annotated[int, typer.Option(metavar="N", min=0, help="Number of trainings beside the measurements.")] = 2,
    threads: Annotated[
        int, typer.Option(metavar="N", min=1, help="CPU threads of each training and of the measurements.")
    ] = 1,
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Images per pass (default: 16 on a CPU, 128 on a GPU).")
    ] = None,
    device: Annotated[str, typer.Option(metavar="cpu|cuda", help="The device to measure on.")] = "cpu",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="The seed of the sample.")] = 0,
    operators_s: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0, help="Seconds to time operators, which predict throughput; 0: no prediction."
        ),
    ] = 30.0,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Measure how well repeated throughput measurements agree.

    The same networks are measured several times, while trainings run on the same device.
    """
    from nas.bench import terminal_tables, throughput as bench
    from nas.bench.throughput_plan import ThroughputPlan
    from nas.study.config import StudyConfig
    from nas.study.templates import find_study
    from nas.terminal.console import create_console
    from nas.terminal.progress import TerminalDisplay
    from search_space import SearchSpace

    file = find_study(space_file)
    StudyConfig.from_file(file)  # raises if the study breaks a rule
    plan = ThroughputPlan(sample, rounds, beside, threads, batch_size, device, seed, operators_s)
    display = TerminalDisplay(create_console(stderr=True))
    with display.counter("measurements", 2 * rounds * sample) as advance:
        measured = bench.measure(SearchSpace.from_file(file), plan, advance)
    record = bench.record(measured, plan)
    if as_json:
        print(json.dumps(record, allow_nan=False))
    else:
        create_console().print(terminal_tables.throughput_table(record))


def run_contest(contest: Contest, jobs: int, as_json: bool, out_file: Path | None) -> None:
    """Run `contest` and print the results; after an interruption or a failure, those of the finished runs."""
    from nas.bench import summary, terminal_tables
    from nas.bench.compare import compare
    from nas.execution.base import open_executor
    from nas.formatting import printable
    from nas.study.config import Resources
    from nas.terminal.console import create_console
    from nas.terminal.progress import TerminalDisplay

    out, err = create_console(), create_console(stderr=True)
    if not as_json:
        out.print(terminal_tables.describe_table(contest.table), soft_wrap=True)
    runs: list[RunResult] = []
    exception: BaseException | None = None
    try:
        with ExitStack() as stack:
            executor = None
            if jobs > 1:
                resources = Resources(workers=min(jobs, len(contest.entries)), cpus_per_trial=1, gpus_per_trial=0)
                executor = stack.enter_context(open_executor("local", resources, Path()))
            advance = stack.enter_context(
                TerminalDisplay(err).counter("trainings", len(contest.entries) * contest.length)
            )
            compare(contest, runs.append, advance, executor)
    except BaseException as caught:  # Ctrl-C, or a failed sampler: the finished runs are still shown
        exception = caught
        cause = "interrupted" if isinstance(caught, KeyboardInterrupt) else "failed"
        err.print(f"{cause}: {len(runs)} of {len(contest.entries)} runs are finished")
    summaries = summary.summarize(contest, runs)
    if as_json:
        print(json.dumps(summary.benchmark_to_dict(contest, summaries), allow_nan=False))
    elif summaries:
        out.print(terminal_tables.result_tables(contest, summaries))
    if out_file is not None and summaries:
        from nas.bench import figure

        figure.write_page(figure.benchmark_info(contest, summaries), out_file)
        err.print(f"figure: {printable(out_file)}", soft_wrap=True)
    if exception is not None:
        raise exception


def check_out(file: Path | None) -> None:
    """Raise `UsageError` unless `file` can be a figure; called before the runs, which may take hours."""
    from nas.errors import UsageError
    from nas.study.destinations import check_file

    if file is None:
        return
    if file.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--out {file}: a figure is an .html file, found {file.suffix or 'no suffix'!r}")
    if file.is_dir():
        raise UsageError(f"--out {file}: is a folder; name the HTML file to write")
    check_file(file)


def parse_references(words: list[str]) -> dict[str, float]:
    """Parse `NAME=VALUE` words into a mapping."""
    import math

    from nas.errors import ConfigError

    values: dict[str, float] = {}
    for word in words:
        name, equals, text = word.rpartition("=")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not equals or not name or not math.isfinite(value):
            raise ConfigError(f"--reference {word}", "must be of the form NAME=VALUE, with a finite number")
        if name in values:
            raise ConfigError(f"--reference {word}", f"must name each objective once, found {name!r} twice")
        values[name] = value
    return values
