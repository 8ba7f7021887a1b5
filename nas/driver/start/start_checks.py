"""What is checked of a study before anything is started or written: folder, resources, compiler, warm start, images.

The space and the limits are checked as soon as the images are decoded, which shows their size, channels and classes.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from nas.driver.checkpoints import check_files
from nas.driver.start.reading import ImageReader
from nas.driver.start.warm_start import check_warm_start
from nas.errors import ConfigError, StudyError
from nas.execution.base import check_executor, check_resources
from nas.study.config import StudyConfig
from nas.study.destinations import check_folder
from nas.study.limits import check_limits
from nas.study.outcomes.inheritance import inherited_epochs
from nas.study.study_sampler import create_sampler
from search_space import SearchSpace

CPU_COMPILER = "g++"
"""The compiler of `torch.compile` on a CPU, unless the variable CXX names another."""
GPU_COMPILERS = ("gcc", "cc", "clang")
"""Those on a GPU, unless the variable CC names another."""


def check_resumed(config: StudyConfig) -> None:
    """Check what the study of `config`, which exists, needs to go on.

    Raises:
        ConfigError, UsageError: the machine lacks resources or a compiler.
    """
    check_executor(config)
    check_inheritance(config)
    check_compiler(config)
    check_resources(config.resources.executor, config.resources)
    check_files(config)


LEARNING_SAMPLERS = ("pareto", "random")
"""Samplers that learn from trainings that have inherited weights, or from none."""


def check_inheritance(config: StudyConfig) -> None:
    """Check that the rest of the study goes with `train.inherit`.

    Raises:
        ConfigError: it does not.
    """
    train = config.train
    if train.inherit == "none":
        return
    rule = ""
    if config.scheduler.name != "none":
        rule = f"must be none with scheduler.name {config.scheduler.name}, found {train.inherit}"
    elif inherited_epochs(train.epochs) >= train.epochs:
        rule = f"needs at least 2 epochs (train.epochs), found {train.epochs}"
    elif config.sampler.name not in LEARNING_SAMPLERS:
        rule = f"needs the sampler {' or '.join(LEARNING_SAMPLERS)}, found {config.sampler.name}"
    if rule:
        raise ConfigError(config.where("train", "inherit"), f"train.inherit: {rule}")


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
        ConfigError, UsageError: as `check_resumed`; there is no such preset or earlier study; the folder cannot be written to;
            there are no images, or no room for them.
    """
    check_folder(folder)
    check_warm_start(config)
    check_resumed(config)
    images.locate()


def check_decoded(config: StudyConfig, images: ImageReader) -> SearchSpace:
    """The space of the study on the decoded `images`, which are removed again if they were decoded at once and do not fit.

    Raises:
        ConfigError: the images, the space, the limits and the sampler do not go together; an image is broken, or there are too
            few; or the images are not those of the study that is continued.
    """
    _, dataset = images.result()
    try:
        images.check_study()
        space = config.space_on(dataset.image_size, dataset.in_chans, dataset.num_classes)
        check_limits(config, space)
        create_sampler(config, space)  # raises if it cannot serve this study
    except StudyError:
        images.discard()
        raise
    return space
