"""`nas retrain`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.app import AsJson, Verbose, app, expand_path, print_rich, split_words
from nas.cli.completion import complete_folder, complete_preset

if TYPE_CHECKING:
    from nas.models.retrain.forecast import Forecast
    from nas.models.retrain.request import Retraining
    from nas.study.content import StudyContent

STARTS = ("scratch", "trial", "pretrained")


@app.command()
def retrain(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TRIAL|best|ARCH.yaml|PRESET ...] [key=value ...]",
            autocompletion=complete_preset,
            help="What to train (any number of trials, files of architectures and presets), and overrides of the recipe.",
        ),
    ] = None,
    *,
    folder: Annotated[
        Path,
        typer.Option(
            "--study",
            metavar="DIR",
            callback=expand_path,
            autocompletion=complete_folder,
            help="The folder of the study whose images are used, and that gets the results.",
        ),
    ],
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="How to train: default, long, finetune, or a YAML file (default: finetune with --start, else default).",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="N", help="Number of runs of each network.")] = 1,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="trial|scratch|pretrained",
            help="What trainings begin with: the trial's weights, random ones (default), or timm's, for presets that it has.",
        ),
    ] = None,
    front: Annotated[bool, typer.Option("--front", help="Train the trials of the front.")] = False,
    max_macs: Annotated[
        str | None, typer.Option("--max-macs", metavar="N", help="With --front: those with at most N MACs, such as 5M.")
    ] = None,
    top: Annotated[int | None, typer.Option("--top", metavar="N", help="With --front: the N most accurate.")] = None,
    expected: Annotated[
        bool,
        typer.Option(
            "--expected", help="With --front: the trials that a model expects on it (`nas front --expected`)."
        ),
    ] = False,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,...",
            help="Presets and models of timm to train by the same recipe; NAME:pretrained begins with timm's weights.",
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Distil from a run (timm-resnet50), local-dir:FOLDER, or a model of timm with these classes.",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="D", help="cpu, cuda or cuda:N (default: GPUs if there are any).")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="The most runs at a time (default: as the study's workers).")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", metavar="ADDR", help="The Ray cluster whose workers train (default: that of the study)."
        ),
    ] = None,
    local: Annotated[
        bool, typer.Option("--local", help="Train on this machine, where the study names a cluster.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be trained, time some steps of it, and write nothing.")
    ] = False,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", callback=expand_path, help="The folder of the results (default: that of the study)."
        ),
    ] = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Train networks in full on a study's images, and test them once.

    Trials, architectures, presets and models of timm are trained by one recipe, each run on one of the study's workers: on
    its cluster, or in processes of this machine. The same command continues what was interrupted, and repeats nothing that
    has ended. `torchrun -m nas retrain ...` trains one network after the other on all its processes.
    """
    from nas.cli.interruption import interruptible

    with interruptible(lambda: _interrupted_text(out_folder or folder)):
        from nas.models.retrain.processes.torchrun_team import OtherProcessError
        from nas.models.retrain.request import RetrainRequest
        from nas.models.retrain.run import forecast_retrain, run_retrain
        from nas.study.content import StudySnapshot
        from nas.terminal.console import create_console
        from nas.terminal.progress import TerminalDisplay

        subjects, overrides = split_words(words or [])
        study = StudySnapshot.of(folder)
        request = RetrainRequest(
            recipe=_recipe(recipe, overrides, start),
            words=tuple(subjects),
            front=_front(front, max_macs, top, expected),
            baselines=_names(baseline),
            seeds=seeds,
            teacher=teacher,
            device=device,
            workers=workers,
            address=address,
            is_local=local,
            out=out_folder,
        )
        display = TerminalDisplay(create_console(stderr=True))
        if dry_run:
            if not _is_other_process():
                _print_forecast(forecast_retrain(study, request, display), as_json)
            return
        try:
            retraining = run_retrain(study, request, display)
        except OtherProcessError as error:
            raise SystemExit(error.exit_code) from None
    if _is_other_process():
        return
    _print_end(study, retraining, as_json)
    retraining.check()


def _is_other_process() -> bool:
    """True in all processes of torchrun but the first: they say nothing."""
    from nas.models.retrain.processes.torchrun_team import Rank

    rank = Rank.current()
    return rank is not None and not rank.is_first


def _interrupted_text(folder: Path) -> str | None:
    from nas.formatting import printable, shell_path

    if _is_other_process():
        return None
    return f"nothing is lost: the same command continues {printable(shell_path(folder))}"


def _recipe(name: str | None, overrides: list[str], start: str | None) -> Any:
    from nas.errors import UsageError
    from nas.models.retrain.named_recipes import default_recipe, load_recipe

    if start is not None and start not in STARTS:
        raise UsageError(f"--start: must be one of {', '.join(STARTS)}, found {start!r}")
    return load_recipe(name or default_recipe(start), overrides, start)


def _front(is_asked: bool, max_macs: str | None, top: int | None, is_expected: bool) -> Any:
    from nas.errors import UsageError
    from nas.models.retrain.subjects.subject import FrontSelection

    if not is_asked:
        given = {"--max-macs": max_macs is not None, "--top": top is not None, "--expected": is_expected}
        for option in filter(given.get, given):
            raise UsageError(f"{option}: needs --front, whose trials it selects")
        return None
    try:
        macs = None if max_macs is None else _number(max_macs)
    except ValueError:
        raise UsageError(f"--max-macs: must be a number above 0, such as 5M or 5000000, found {max_macs!r}") from None
    return FrontSelection(macs, top, is_expected)


def _number(text: str) -> float:
    """`5M` and `5e6` are 5,000,000.

    Raises:
        ValueError: it is no such number.
    """
    factors = {"k": 1e3, "M": 1e6, "G": 1e9}
    factor = factors.get(text[-1:], 1.0)
    return float(text[:-1] if text[-1:] in factors else text) * factor


def _names(options: list[str] | None) -> tuple[str, ...]:
    return tuple(name for option in options or () for name in option.split(",") if name)


def _print_forecast(forecast: Forecast, as_json: bool) -> None:
    from nas.models.retrain import tables

    if as_json:
        print(
            json.dumps({"runs": [run.to_dict() for run in forecast.runs], "left_s": forecast.left_s}, allow_nan=False)
        )
        return
    print_rich(tables.forecast_report(forecast))


def _print_end(study: StudyContent, retraining: Retraining, as_json: bool) -> None:
    from nas.analysis.results import Results
    from nas.analysis.retrained import proxy_correlation
    from nas.formatting import count, shell_path
    from nas.models.retrain import tables
    from nas.study.retrained import RETRAINED

    search, models = tables.SearchValues.of(Results.of(study)), retraining.models
    if as_json:
        tau = proxy_correlation(models, search.accuracies)
        record = {
            "runs": [run.to_dict() | {"folder": str(run.folder(retraining.root))} for run in retraining.runs],
            "models": [tables.model_record(model, search) for model in models],
            "tau": None if tau is None else tau.to_dict(),
            "trained": retraining.trained,
            "failures": dict(retraining.failures),
        }
        print(json.dumps(record, allow_nan=False))
        return
    for subject in retraining.subjects:
        if subject.note:
            print(f"preset {subject.note}")
    if not retraining.trained and not retraining.failures:
        print(f"{count(len(retraining.runs), 'run')} had ended before; nothing was trained")
    if models:
        print_rich(tables.report(models, search))
    print(f"runs: {shell_path(retraining.root / RETRAINED)}")
