"""The public API: its names, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest
from torch import nn

import search_space
from search_space import mixers

NAMES = {
    *("Architecture", "Stage", "StemSpec", "DownsamplingSpec", "SqueezeExciteSpec", "HeadSpec"),
    *("SearchSpace", "Cost", "build", "cost", "cost_by_part", "mixers", "presets", "__version__"),
}


def test_all_lists_every_public_name() -> None:
    assert set(search_space.__all__) == NAMES
    assert len(search_space.__all__) == len(NAMES)
    public = {name for name in vars(search_space) if not name.startswith("_")}
    modules = {name for name in public if isinstance(getattr(search_space, name), type(sys))}
    helpers = {"Any", "TYPE_CHECKING", "annotations", "register_when_imported", "use_module_builder", "Size", "build"}
    assert public - modules - helpers <= NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_name_is_there_and_documented(name: str) -> None:
    value = getattr(search_space, name)
    assert name == "__version__" or value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'search_space' has no attribute 'biuld'"):
        _ = search_space.biuld


def test_the_version_is_that_of_the_distribution() -> None:
    assert search_space.__version__ == version("mixfront")


def test_create_makes_a_module() -> None:
    mixer = mixers.create("lambda", width=64, size=(14, 14), heads=4, k=16, u=1, context=7)
    assert isinstance(mixer, nn.Module)


def test_importing_the_package_imports_no_torch() -> None:
    code = (
        "import sys, search_space; from search_space import *; "  # the star takes `build` too
        "print('torch' in sys.modules)"
    )
    lazy = "import sys, search_space; print('torch' in sys.modules, 'importlib.metadata' in sys.modules)"
    assert _output(lazy).split()[0] == "False"
    assert _output(code) == "True"


def _output(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
