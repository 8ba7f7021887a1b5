"""`nas export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.app import AsJson, StudyFolder, Verbose, app, expand_path
from nas.cli.completion import complete_trial

if TYPE_CHECKING:
    from nas.models.export import ExportedModel


@app.command()
def export(
    folder: StudyFolder,
    *,
    trial: Annotated[
        str | None,
        typer.Argument(
            metavar="TRIAL",
            autocompletion=complete_trial,
            help="The number of a trial, or 'best'; none with --front or --pinned.",
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
    front: Annotated[
        bool,
        typer.Option("--front", help="Export each trial of the front to FOLDER/trial-NUMBER instead of one trial."),
    ] = False,
    pinned: Annotated[
        bool, typer.Option("--pinned", help="Export each pinned trial to FOLDER/trial-NUMBER instead of one trial.")
    ] = False,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="Also write, run and compare the model as onnx, pt2 or executorch; may be repeated.",
        ),
    ] = None,
    standalone: Annotated[
        bool, typer.Option("--standalone", help="Also write model.py: the network in plain PyTorch, without mixfront.")
    ] = False,
    to_hub: Annotated[
        bool, typer.Option("--to-hub", help="Prepare the folder for the Hugging Face Hub, and say how to upload it.")
    ] = False,
    retrained: Annotated[
        bool,
        typer.Option(
            "--retrained", help="The best-validated full training of the trial (nas retrain), not that of the search."
        ),
    ] = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Export the trained network of a trial as a timm model, or those of the front or of all pinned trials.

    The folder has timm's files, a model card, a drawing, the architecture, a recipe for timm's train.py and the provenance. The
    model is loaded again, and its outputs are compared with those of the trained network.
    """
    from nas.cli.interruption import interruptible

    _check_choice(trial, front, pinned)
    written: list[Path] = []
    with interruptible(lambda: _interrupted_text(written, out_folder)):
        from nas.models.export import (
            ExportOptions,
            export_models,
            front_trials,
            pinned_trials,
            retrained_trials,
            trial_folders,
        )
        from nas.study.content import StudySnapshot
        from nas.terminal.console import create_console
        from nas.terminal.progress import TerminalDisplay

        study = StudySnapshot.of(folder)
        options = ExportOptions(tuple(formats or ()), standalone, to_hub, retrained)
        numbers = [] if trial is not None else front_trials(study) if front else pinned_trials(study)
        chosen = retrained_trials(study, numbers) if retrained and trial is None else numbers
        folders: dict[int | str, Path] = trial_folders(chosen, out_folder) if trial is None else {trial: out_folder}
        with TerminalDisplay(create_console(stderr=True)).counter("exporting", len(folders)) as advance:

            def note_model(model: ExportedModel) -> None:
                written.append(model.folder)
                advance()

            exported = export_models(study, folders, options, note_model)
    left_out = [number for number in numbers if number not in chosen]
    if as_json:
        record = {"models": [model.to_dict() for model in exported], "left_out": left_out}
        print(json.dumps(record, allow_nan=False))
        return
    for model in exported:
        _print_model(model, to_hub)
    if left_out:
        print(f"left out, for they were not retrained: trials {', '.join(map(str, left_out))}")


def _interrupted_text(written: list[Path], out_folder: Path) -> str:
    from nas.formatting import count, printable, shell_path

    if not written:
        return "nothing was written"
    return f"{count(len(written), 'model')} written to {printable(shell_path(out_folder))}"


def _check_choice(trial: str | None, front: bool, pinned: bool) -> None:
    from nas.errors import UsageError

    chosen = [name for name, is_chosen in (("--front", front), ("--pinned", pinned), (trial, trial)) if is_chosen]
    if len(chosen) != 1:
        found = "neither" if not chosen else f"both, {' and '.join(map(str, chosen))}"
        raise UsageError(f"export: needs a trial (its number, or best), --front or --pinned, found {found}")


def _print_model(model: ExportedModel, to_hub: bool) -> None:
    from nas.formatting import printable, si

    print(f"model: {printable(model.folder)} (trial {model.trial})")
    print(f"       weights: {_weights_text(model)}")
    if model.removed:
        print(f"       removed, of the earlier export: {', '.join(model.removed)}")
    for artifact in model.artifacts:
        difference = f"largest difference {artifact.largest_difference:.1e}"
        speed = f"{si(artifact.images_per_s)} images/s on this CPU"
        print(f"       {artifact.file.name}: {artifact.size_bytes / 1e6:.2f} MB, {difference}, {speed}")
    name = json.dumps(f"local-dir:{model.folder}", ensure_ascii=False)
    print(f"load:  import search_space, timm; timm.create_model({name}, pretrained=True)")
    if to_hub:
        from nas.models.export.hub import upload_command

        print(f"upload: {upload_command(model.name, model.folder)}")


def _weights_text(model: ExportedModel) -> str:
    """Which training the weights are from, and its accuracies."""
    from nas.formatting import ratio

    known = model.accuracies
    if model.run is None:
        origin, validation = "training of the search", known.proxy
    else:
        _, recipe, seed = model.run.split("/")
        origin, validation = f"full training, recipe {recipe}, {seed.replace('-', ' ')}", known.retrained
    shares = (("validation", validation), ("test", known.test))
    texts = [f"{name} accuracy {ratio(value)}" for name, value in shares if value is not None]
    return "; ".join([origin, *texts])
