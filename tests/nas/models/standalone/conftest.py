"""Standalone files for the tests: written, and imported where nothing but torch can be imported."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from nas.models.standalone import write_standalone
from search_space import Architecture, build
from search_space.modules.network import Network

BLOCKED = ("search_space", "trainers", "nas", "timm", "safetensors", "yaml", "pydantic", "tests")
NUMBERS = itertools.count()
Write = Callable[..., ModuleType]


@contextmanager
def blocked_imports() -> Iterator[None]:
    """Within this context the packages of this project, timm and safetensors cannot be imported."""
    loaded = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in BLOCKED}
    blocked = {*loaded, *BLOCKED}
    sys.modules.update(dict.fromkeys(blocked))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in blocked:
            del sys.modules[name]
        sys.modules.update(loaded)


def import_alone(file: Path) -> ModuleType:
    """The module in `file` under a fresh name, where only torch and Python's library can be imported."""
    spec = importlib.util.spec_from_file_location(f"standalone_{next(NUMBERS)}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with blocked_imports():
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the standalone file of a network and imports it alone; keywords as for `write_standalone`."""

    def write_and_import(network: Network, **keywords: Any) -> ModuleType:
        names = [f"class {number}" for number in range(network.num_classes)]
        values = {"class_names": names, "mean": [0.5] * network.in_chans, "std": [0.25] * network.in_chans}
        return import_alone(write_standalone(network, tmp_path, **values | keywords))

    return write_and_import


@pytest.fixture(scope="session")
def random_network() -> Callable[[Architecture], Network]:
    """Makes a network whose weights and statistics are all random, in evaluation mode."""

    def make(architecture: Architecture) -> Network:
        generator = torch.Generator().manual_seed(0)
        network = build(architecture)
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.2)
                if name.endswith("running_var"):
                    tensor.copy_(tensor.abs() + 0.5)
        return network.eval()

    return make
