"""The network of a teacher, for the images that the student gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from nas.errors import UsageError, reason
from nas.models.retrain.networks import trained_module
from nas.models.retrain.teachers import Teacher
from trainers.data.dataset import Dataset
from trainers.training.teacher import AdaptedTeacher


def load_teacher(teacher: Teacher, data: Dataset) -> nn.Module:
    """Load `teacher` for the images of `data`.

    Raises:
        StudyError: the weights of the run are damaged.
        UsageError: timm cannot load it.
    """
    if teacher.folder is not None:
        return trained_module(Path(teacher.folder))[0]
    import timm  # takes seconds

    import search_space  # noqa: F401 - registers the entrypoint of our exports

    try:
        model = timm.create_model(teacher.name, pretrained=True)
    except Exception as error:  # timm and its models raise any
        raise UsageError(f"--teacher: {teacher.name} cannot be loaded: {reason(error)}") from None
    config: dict[str, Any] = dict(model.pretrained_cfg)
    size = tuple(config["input_size"][-2:]) if config.get("fixed_input_size") else None
    return AdaptedTeacher(model, data, config.get("mean") or data.mean, config.get("std") or data.std, size)
