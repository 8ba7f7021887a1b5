"""What can be checked of a study before anything is started or written: resources, compiler, warm start.

Its data are checked by `nas.driver.reading`, its space and limits as soon as the properties of the images are known.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from nas.driver.warm_start import check_warm_start
from nas.errors import ConfigError
from nas.execution.base import check_resources
from nas.study.config import StudyConfig

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
