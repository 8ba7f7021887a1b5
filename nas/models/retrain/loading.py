"""The networks of full trainings that have ended, for export, evaluation and distillation."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from nas.errors import StudyError, UsageError
from nas.models.retrain.networks import trained_module
from nas.study.retrained import RetrainedRun
from search_space.modules.network import Network

NAME, DIGEST, SEED = "run", "recipe_digest", "seed"
"""Keys of the metadata of a run's weights, by which they are known as those of the run."""


def load_retrained(study: Path, run: RetrainedRun) -> nn.Module:
    """Load the network that `run` has trained, in evaluation mode: a `Network`, or a model of timm for a baseline.

    Args:
        study: the folder of the study, or that of `--out`.
        run: one of `nas.study.retrained.retrained_runs(study)`.

    Raises:
        StudyError: the weights are missing, damaged, or those of another run.
    """
    folder = run.folder(study)
    module, metadata = trained_module(folder)
    for key, value in ((NAME, run.name), (DIGEST, run.recipe_digest), (SEED, str(run.seed))):
        if metadata.get(key) != value:
            rule = f"the weights must be those of the run: {key} {value}, found {metadata.get(key)}"
            raise StudyError(f"{folder}: {rule}")
    return module


def retrained_network(study: Path, run: RetrainedRun) -> Network:
    """Load the network that `run` has trained, which is no baseline of timm's, in evaluation mode.

    Raises:
        UsageError: it is a baseline.
        StudyError: as `load_retrained`.
    """
    if run.kind == "baseline":
        raise UsageError(f"{run.name}: is a model of timm, which has no architecture of the search space")
    module = load_retrained(study, run)
    if not isinstance(module, Network) or module.architecture.id != run.architecture_id:
        raise StudyError(f"{run.folder(study)}: the weights must be those of the architecture {run.architecture_id}")
    return module
