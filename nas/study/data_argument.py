"""What `nas data` was asked about: a folder of images, a study, the folder of a study, or a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.errors import StudyError, UsageError
from nas.study.config import StudyConfig
from nas.study.config_file.study_file import StudyFile, read
from nas.study.content import StudyContent, StudySnapshot
from nas.study.database.storage import study_exists
from nas.study.dataset import dataset_record
from nas.study.images import check_room, data_errors
from nas.study.templates import installed_studies
from trainers.data.description import describe
from trainers.data.prepared import locate, prepare
from trainers.data.sources import SOURCES
from trainers.data.types import Progress
from trainers.errors import DataError

DEFAULT_IMAGE_SIZE = 64
"""Pixels a side that images of different sizes are resized to, if nothing else is asked for."""

_ANY_SPACE = {"stem": {"patch": 1}, "stages": [{"mixer": "identity", "width": 8}]}
"""A space that fits images of any size: a study must have one."""


def describe_data(
    argument: str, overrides: Sequence[str], scratch: Path, progress: Progress | None = None
) -> tuple[dict[str, Any], Path | None]:
    """Describe the data that `argument` names.

    Args:
        argument: a folder of images, a study file, the name of an installed study or of a source, or the folder of a study, whose
            stored description is returned.
        overrides: `data.key=value` words.
        scratch: a folder for the decoded images.
        progress: called with the number of images decoded and the total number.

    Returns:
        The description (`nas.study.dataset`), and the file of the decoded images; None if the study's are missing.

    Raises:
        ConfigError: the data are missing, too few or break a rule.
        UsageError: `argument` names nothing, or an override is given for the folder of a study.
    """
    if study_exists(Path(argument)):
        if overrides:
            raise UsageError(f"{overrides[0]}: the data of a study that was started cannot be changed")
        return _stored(StudySnapshot.of(Path(argument)))
    config = data_configuration(argument, overrides)
    with data_errors(config):
        located = locate(config.data)
        check_room(config, located, scratch)
        try:
            file = prepare(config.data, scratch, progress, located)
        except DataError as error:
            if error.place != "image_size" or config.data.image_size is not None:
                raise
            sized = config.data.model_copy(update={"image_size": DEFAULT_IMAGE_SIZE})
            file = prepare(sized, scratch, progress)
        return dataset_record(describe(file)), file


def _stored(study: StudyContent) -> tuple[dict[str, Any], Path | None]:
    if not study.dataset:
        raise UsageError(f"{study.folder}: this study does not record its data")
    try:
        return dict(study.dataset), study.images()
    except StudyError:
        return dict(study.dataset), None


def data_configuration(argument: str, overrides: Sequence[str]) -> StudyConfig:
    """The configuration of a study on the data that `argument` names: a folder, a study file, an installed study or a source.

    Raises:
        ConfigError: an override breaks a rule.
        UsageError: `argument` names nothing.
    """
    path, installed = Path(argument), installed_studies()
    if path.is_file() or (path.suffix in (".yaml", ".yml") and not path.is_dir()):
        return StudyConfig.from_file(path, *overrides)
    if not path.is_dir() and argument in installed:
        return StudyConfig.from_file(installed[argument], *overrides)
    file = read(installed["folder"], overrides, StudyConfig)
    overridden = _overridden_keys(file)
    if path.is_dir():
        named = {"source": "folder", "path": str(path)}
        place = ("data", "path")
    elif argument in SOURCES or argument.partition("/")[0] + "/" in SOURCES:
        named, place = {"source": argument}, ("data", "source")
    else:
        names = f"installed study ({', '.join(installed)}) or source ({', '.join(SOURCES)})"
        raise UsageError(f"{argument}: no such folder, study file, {names}")
    data = {"on_error": "skip", **named, **overridden}
    content = {**file.data, "data": data, "space": _ANY_SPACE}
    return StudyConfig.parse(replace(file, data=content, overrides={**file.overrides, place: argument}))


def skips_unasked(argument: str, overrides: Sequence[str]) -> bool:
    """True if broken images of `argument` are left out though nothing says so; a search on them would end with an error.

    Raises:
        ConfigError, UsageError: as `data_configuration`.
    """
    is_study_file = Path(argument).is_file() or (not Path(argument).is_dir() and argument in installed_studies())
    if study_exists(Path(argument)) or is_study_file:
        return False
    return "on_error" not in _overridden_keys(read(installed_studies()["folder"], overrides, StudyConfig))


def _overridden_keys(file: StudyFile) -> dict[str, Any]:
    """The keys of `data` that overrides set: one by one, or all by `data={...}`."""
    data = file.data["data"]
    if ("data",) in file.overrides and isinstance(data, dict):
        return dict(data)
    overridden = {path[1] for path in file.overrides if path[0] == "data" and len(path) > 1}
    return {key: value for key, value in data.items() if key in overridden}
