"""The files of a trial: weights, and while it trains a checkpoint. Needs neither torch nor Optuna."""

from __future__ import annotations

from pathlib import Path

WEIGHTS = "model.safetensors"
CHECKPOINT = "checkpoint.pt"


def trial_folder(study: Path, number: int) -> Path:
    """The folder of trial `number` of the study in the folder `study`."""
    return study / "trials" / f"{number:05d}"


def forget_checkpoint(folder: Path) -> None:
    """Remove the checkpoint of the trial in `folder`, which the study has recorded."""
    (folder / CHECKPOINT).unlink(missing_ok=True)
