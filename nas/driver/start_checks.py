"""What is checked of a study before anything is started or written: folder, resources, compiler, warm start, images.

The space and the limits are checked as soon as the images are decoded, which shows their size, channels and classes.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from nas.driver.plan import create_sampler
from nas.driver.reading import ImageReader
from nas.driver.warm_start import PriorAccuracies, check_warm_start, prior_accuracies
from nas.errors import ConfigError, StudyError
from nas.execution.base import check_resources
from nas.study.config import StudyConfig
from nas.study.destinations import check_folder
from nas.study.limits import check_limits
from search_space import SearchSpace
from trainers.data.prepared import DatasetInfo

CPU_COMPILER = "g++"
"""The compiler of `torch.compile` on a CPU, unless the variable CXX names another."""
GPU_COMPILERS = ("gcc", "cc", "clang")
"""Those on a GPU, unless the variable CC names another."""


def check_start(config: StudyConfig) -> None:
    """Check what the study of `config` needs to start.

    Raises:
        ConfigError, UsageError: the machine lacks resources or a compiler, or there is no such preset or earlier study.
    """
    check_warm_start(config)
    check_compiler(config)
    check_resources(config.resources.executor, config.resources)


def check_compiler(config: StudyConfig) -> None:
    """Check that there is a compiler if the study compiles networks on this machine. Whether it works, a worker checks.

    Raises:
        ConfigError: there is none.
    """
    if config.train.compile == "off" or config.resources.address is not None:
        return
    on_gpu = config.resources.gpus_per_trial != 0 and has_gpu()
    variable, defaults = ("CC", GPU_COMPILERS) if on_gpu else ("CXX", (CPU_COMPILER,))
    candidates = (os.environ[variable],) if os.environ.get(variable) else defaults
    if not any(map(shutil.which, candidates)):
        rule = f"needs a compiler ({' or '.join(candidates)}, or one that the variable {variable} names), found none"
        raise ConfigError(config.where("train", "compile"), f"train.compile: {rule}")


def has_gpu() -> bool:
    """True if the machine has the device files of a GPU. torch, which would know for certain, takes seconds to import."""
    devices = Path("/dev")
    return any(devices.glob("nvidia[0-9]*")) or any(devices.glob("kfd")) or any(devices.glob("dxg"))


def check_new_study(config: StudyConfig, folder: Path, images: ImageReader) -> None:
    """Check what can be checked before the study in `folder` is created.

    Raises:
        ConfigError, UsageError: as `check_start`; the folder cannot be written to; there are no images, or no room for them.
    """
    check_folder(folder)
    check_start(config)
    images.locate()


def check_space(config: StudyConfig, dataset: DatasetInfo) -> tuple[SearchSpace, PriorAccuracies]:
    """The space of the study on these images, and the accuracies of the earlier study.

    Raises:
        ConfigError: the images, the space, the limits, the warm start or the sampler do not go together.
    """
    space = config.space_on(dataset.image_size, dataset.in_chans, dataset.num_classes)
    check_limits(config, space)
    prior = prior_accuracies(config, space)
    create_sampler(config, space, prior)  # raises if it cannot serve this study
    return space, prior


def check_decoded(config: StudyConfig, images: ImageReader) -> tuple[SearchSpace, PriorAccuracies]:
    """As `check_space` on the decoded `images`, which are removed again if they were decoded at once and there is an error.

    Raises:
        ConfigError: as `check_space`, or an image is broken, or there are too few.
    """
    _, dataset = images.result()
    try:
        return check_space(config, dataset)
    except StudyError:
        images.discard()
        raise
