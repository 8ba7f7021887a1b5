"""`nas fidelity`: the command line. It imports what it needs when it runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console


def fidelity(
    words: Annotated[
        list[str],
        typer.Argument(metavar="STUDY.yaml|DIR [key.sub=value ...]", help="A study or its folder, and overrides."),
    ],
    sample: Annotated[int, typer.Option(metavar="N", help="Architectures, spread over the costs of the space.")] = 16,
    multiple: Annotated[
        float, typer.Option(metavar="X", help="The large budget has so many times the epochs of the proxy.")
    ] = 4.0,
    seeds: Annotated[int, typer.Option(metavar="N", help="Trainings of each architecture at each budget.")] = 3,
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where the trainings go (default: fidelity in the study's folder)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge a study's proxy: does it rank as longer trainings do, how noisy is it, would a cheaper one do?"""
    from rich.console import Console

    from nas.fidelity.run import Request, run, study_of
    from nas.terminal.progress import Display

    request = Request(sample, multiple, seeds)
    study = study_of(*split(words), out_folder)
    console = Console(stderr=True, highlight=False)
    try:
        found = run(study, request, Display(console), lambda *counts: progress(console, *counts))
    except KeyboardInterrupt:
        if study.out.is_dir():
            console.print(f"interrupted; what is trained is kept: the same command goes on with {study.out}")
        raise
    from nas.fidelity import page, tables as show
    from nas.fidelity.verdict import verdict

    file = page.write(found, study.out / page.FILE)
    if as_json:
        print(json.dumps(found.to_dict() | {"verdict": verdict(found), "page": str(file)}, allow_nan=False))
        return
    out = Console(highlight=False, markup=False)
    out.print(show.summary(found))
    out.print(f"page: {file}", soft_wrap=True)


def split(words: list[str]) -> tuple[Path, list[str]]:
    """The study among the `words`, and the `key.sub=value` overrides."""
    from nas.errors import UsageError

    studies = [word for word in words if "=" not in word]
    if len(studies) != 1:
        found = ", ".join(studies) or "none"
        raise UsageError(f"fidelity: needs one study, its file or its folder, found {found}")
    return Path(studies[0]), [word for word in words if "=" in word]


@contextmanager
def progress(console: Console, total: int, done: int, work: float) -> Iterator[Callable[[float], None]]:
    """A bar of trainings on a terminal, nothing elsewhere; its time left is by the work that is left, not by their number."""
    if not console.is_terminal:
        yield lambda amount: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("training {task.fields[done]}/{task.fields[total_jobs]}"), BarColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=work, done=done, total_jobs=total)

        def advance(amount: float) -> None:
            bar.update(task, advance=amount, done=bar.tasks[0].fields["done"] + 1)

        yield advance
