"""What `nas diagnose` was asked for, and the run that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from nas.errors import UsageError
from nas.models.diagnose.images import sample_of, study_sample
from nas.models.diagnose.page import FILE
from nas.models.diagnose.registry import chosen
from nas.models.diagnose.resolve import AS_THEY_SAY, Normalisation, load_candidates
from nas.models.diagnose.run import DiagnosisRun
from nas.models.display import WorkDisplay
from nas.study.content import StudySnapshot
from nas.study.destinations import check_file
from trainers.data.types import Part


@dataclass(frozen=True)
class DiagnosisRequest:
    """The words and options of the command.

    Args:
        words: the models.
        study: the folder of the study of trials among them; its images are the default.
        data: other images, as `nas data` takes them.
        part: of the data, which the images are from.
        names: of the diagnoses; None: all.
        limit: number of images; None: by their size.
        page: the file to write; None: `diagnosis.html` in the study's folder, or in the working folder.
        normalisation: of models that are not of the study.

    Raises:
        UsageError: there are no images.
    """

    words: tuple[str, ...]
    study: Path | None = None
    data: str | None = None
    part: Part = "val"
    names: tuple[str, ...] | None = None
    limit: int | None = None
    page: Path | None = None
    normalisation: Normalisation = AS_THEY_SAY

    def __post_init__(self) -> None:
        if self.study is None and self.data is None:
            raise UsageError("diagnose: needs images: --study DIR, or --data FOLDER")

    @property
    def out(self) -> Path:
        """The file of the page."""
        return self.page or (Path() if self.study is None else self.study) / FILE


def open_run(request: DiagnosisRequest, display: WorkDisplay) -> DiagnosisRun:
    """Check the request, load the models and the images.

    Raises:
        UsageError: a name, a model or a file of the request is wrong; models do not fit the images.
        StudyError: weights are missing or damaged.
    """
    chosen(request.names)
    check_file(request.out)
    study = None if request.study is None else StudySnapshot.of(request.study)
    candidates = load_candidates(request.words, study, request.normalisation)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if request.data is None:
        assert study is not None
        images = study_sample(study, request.part, request.limit, device)
    else:
        with display.step("reading images") as progress:
            _, *size = candidates[0].model.input_shape
            images = sample_of(request.data, request.part, request.limit, (size[0], size[1]), device, progress)
    for candidate in candidates:  # all of them before weights are downloaded
        candidate.check(images)
    return DiagnosisRun([candidate.on(images) for candidate in candidates], images, request.names)
