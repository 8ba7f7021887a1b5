"""Full training from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nas.models.display import WorkDisplay
from nas.models.retrain.named_recipes import default_recipe, load_recipe
from nas.models.retrain.request import RetrainRequest
from nas.models.retrain.run import run_retrain
from nas.models.retrain.subjects.subject import FrontSelection
from nas.study.content import StudyContent
from nas.study.retrained import RetrainedRun, RunStart
from trainers.training.recipe_config import RecipeConfig


def retrain(
    study: StudyContent,
    *subjects: int | str | Path,
    recipe: RecipeConfig | str | Path | None = None,
    seeds: int = 1,
    start: RunStart | None = None,
    front: FrontSelection | None = None,
    baselines: Sequence[str] = (),
    teacher: str | None = None,
    device: str | None = None,
    workers: int | None = None,
    address: str | None = None,
    is_local: bool = False,
    out: Path | str | None = None,
    display: WorkDisplay | None = None,
) -> tuple[RetrainedRun, ...]:
    """Train networks in full on the images of a study; each is tested once, at the end.

    Runs that have ended are read, not repeated; interrupted ones continue. `nas.models.retrain.load_retrained`
    loads the networks. In a script that torchrun has started, all processes call it with the same
    arguments, in their main threads, train each network together, and get the same records.

        retrain(study, "best", 12, "vit_tiny_patch16", "mine.yaml", seeds=3, baselines=["resnet18", "resnet18:pretrained"])

    Args:
        study: the study.
        subjects: numbers of trials, "best", files of architectures and names of presets.
        recipe: how to train: a recipe, the name of one (`default`, `long`, `finetune`), or a YAML file; None: `default`, or
            `finetune` where `start` is not "scratch".
        seeds: number of runs of each network.
        start: "scratch", "trial" (its weights in the search) or "pretrained" (timm's, for presets that timm has); None: what
            the recipe says.
        front: which trials of the front, too, such as `nas.models.retrain.FrontSelection(max_macs=5e6)`; None: none.
        baselines: names of presets and of timm's models, with `:pretrained` to begin with timm's weights.
        teacher: whose outputs are distilled: a run (`timm-resnet50`), `local-dir:FOLDER`, or a model of timm.
        device: "cpu", "cuda" or "cuda:1"; None: GPUs if there are any.
        workers: greatest number of runs at a time; None: as many workers as the study has.
        address: of the Ray cluster whose workers train; None: that of the study, if it has one.
        is_local: runs on this machine, where the study names a cluster.
        out: the folder whose `retrained/` gets the results; None: that of the study.
        display: shows the progress, such as `nas.terminal.progress.TerminalDisplay(rich.console.Console())`.

    Returns:
        The records, by network in the order of the arguments, then by seed.

    Raises:
        UsageError, SpaceError: an argument breaks a rule; nothing was trained.
        MachineError: the disk or a device of the machine failed; the same call continues.
        StudyError: a run failed, after all others have ended; or files of the study are missing or damaged.
    """
    if not isinstance(recipe, RecipeConfig):
        recipe = load_recipe(recipe or default_recipe(start), start=start)
    elif start is not None:
        recipe = recipe.model_copy(update={"start": start})
    request = RetrainRequest(
        recipe=recipe,
        words=tuple(map(str, subjects)),
        front=front,
        baselines=tuple(baselines),
        seeds=seeds,
        teacher=teacher,
        device=device,
        workers=workers,
        address=address,
        is_local=is_local,
        out=None if out is None else Path(out),
    )
    retraining = run_retrain(study, request, display)
    retraining.check()
    return retraining.runs
