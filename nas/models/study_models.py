"""A MODEL of a command line that is one of a study.

    12, best                        the trained network of a trial
    timm-resnet18                   the full training (`nas retrain`) of this name with the best validation accuracy
    trial-12/RECIPE, .../seed-1     of those, the ones with this recipe, or one of them

A name is the path of a run below the folder `retrained` of its study (`nas.study.retrained`).
"""

from __future__ import annotations

import re
from pathlib import Path

from nas.analysis.results import Results
from nas.errors import UsageError
from nas.models.loaded_model import LoadedModel
from nas.models.retrain.training.loading import load_retrained
from nas.models.weights import load_trained
from nas.study.attribute_types import is_number_text
from nas.study.content import StudyContent, StudySnapshot
from nas.study.database.storage import study_exists
from nas.study.retrained import RESULT, RETRAINED, RetrainedRun, read_run, retrained_runs, run_folder
from trainers.data.description import DatasetInfo, describe
from trainers.errors import DataError

MAX_NAMES = 8
"""Of the runs that an error names."""
_RUN = re.compile(r"(trial|arch|preset|timm)-[^/]+(/[0-9a-f]+(/seed-[0-9]+)?)?/?")


def is_trial_word(word: str) -> bool:
    """Whether `word` names a trial."""
    return word == "best" or is_number_text(word)


def is_study_word(word: str) -> bool:
    """Whether `word` names a model of a study, rather than a folder, a file, or a model of timm's."""
    return is_trial_word(word) or (_RUN.fullmatch(word) is not None and not Path(word).exists())


def load_study_model(study: StudyContent, word: str) -> LoadedModel:
    """The model of `study` that `word` names.

    Raises:
        UsageError: there is none, or the study's images, which say how pixels are normalised, are missing.
        StudyError: its weights are missing or damaged.
    """
    return _load_trial(study, word) if is_trial_word(word) else _load_run(study, find_run(study, word))


def find_run(study: StudyContent, word: str) -> RetrainedRun:
    """The full training that `word` names; of several, the one with the best validation accuracy.

    Raises:
        UsageError: there is none on the study's images.
    """
    runs = [run for run in retrained_runs(study.folder) if run.fingerprint == study.fingerprint]
    parts = Path(word).parts
    matching = [run for run in runs if run_parts(run)[: len(parts)] == parts]
    if not matching:
        known = ", ".join([*dict.fromkeys(run.name for run in runs)][:MAX_NAMES]) or "none"
        raise UsageError(f"{word}: {study.folder} has no such full training (known: {known})")
    return max(matching, key=lambda run: run.val_accuracy)


def run_parts(run: RetrainedRun) -> tuple[str, ...]:
    """(name, digest of the recipe, seed) of `run`, as its folder has them."""
    return run_folder(Path(), run.name, run.recipe_digest, run.seed).parts[1:]


def is_run_folder(folder: Path) -> bool:
    """Whether `folder` is that of a full training that has ended."""
    return (folder / RESULT).is_file()


def load_run_folder(folder: Path) -> LoadedModel:
    """The model of the full training in `folder`, which is below the folder of its study.

    Raises:
        UsageError: it is that of no study, or of none of its images.
        StudyError: its weights are missing or damaged.
    """
    try:
        run = read_run(folder.resolve() / RESULT)
    except ValueError as error:
        raise UsageError(str(error)) from None
    *_, root = folder.resolve().parents[: len(run_parts(run)) + 1]
    if not study_exists(root) or folder.resolve() != root / RETRAINED / Path(*run_parts(run)):
        raise UsageError(f"{folder}: must be in the folder of its study, whose images say how pixels are normalised")
    study = StudySnapshot.of(root)
    if run.fingerprint != study.fingerprint:
        raise UsageError(f"{folder}: was trained on other images than those of the study {root}")
    return _load_run(study, run)


def study_images(study: StudyContent) -> DatasetInfo:
    """The description of the decoded images of `study`.

    Raises:
        UsageError: they are missing or damaged.
    """
    try:
        return describe(study.images())
    except DataError as error:
        raise UsageError(str(error)) from None


def _load_trial(study: StudyContent, word: str) -> LoadedModel:
    row = Results.of(study).trial(word)
    number = int(row["trial"])
    if row["state"] != "complete":
        raise UsageError(f"trial {number}: only a complete trial has a model, this one is {row['state']}")
    info = study_images(study)
    module = load_trained(study, next(trial for trial in study.trials if trial.number == number))
    return LoadedModel(
        name=f"trial {number}",
        kind="trial",
        module=module.eval(),
        input_shape=(info.in_chans, *info.image_size),
        mean=info.mean,
        std=info.std,
        class_names=info.class_names,
        num_classes=info.num_classes,
    )


def _load_run(study: StudyContent, run: RetrainedRun) -> LoadedModel:
    info = study_images(study)
    return LoadedModel(
        name=f"{run.name} (seed {run.seed})",
        kind="retrained",
        module=load_retrained(study.folder, run).eval(),
        input_shape=(info.in_chans, *info.image_size),
        mean=info.mean,
        std=info.std,
        class_names=info.class_names,
        num_classes=info.num_classes,
    )
