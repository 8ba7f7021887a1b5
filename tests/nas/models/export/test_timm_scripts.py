"""timm's own `train.py` and `validate.py` on an export, where they are: timm's packages have no scripts.

TIMM_REPOSITORY is the folder of timm's repository (pytorch-image-models) at the installed version.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(os.environ.get("TIMM_REPOSITORY", ""))
EXAMPLE = Path(__file__).parents[4] / "studies" / "examples" / "fine_tune_with_timm.sh"

pytestmark = pytest.mark.skipif(
    not os.environ.get("TIMM_REPOSITORY"),
    reason="timm's train.py is in no package: set TIMM_REPOSITORY to the folder of its repository",
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few images of ten classes."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(60):
        place = folder / ("validation" if number % 3 == 0 else "train") / str(number % 10)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(place / f"{number}.png")
    return folder


def run(folder: Path, *words: object) -> str:
    """Standard output and error of a command in `folder`."""
    environment = os.environ | {"DEVICE": "cpu", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        list(map(str, words)), cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_train_py_takes_the_recipe(model_folder: Path, photos: Path, tmp_path: Path) -> None:
    words = ("--data-dir", photos, "--config", "train.yaml", "--device", "cpu", "-j", 0, "--epochs", 1, "-b", 8)
    run(model_folder, sys.executable, REPOSITORY / "train.py", *words, "--output", tmp_path, "--experiment", "scratch")
    assert (tmp_path / "scratch" / "last.pth.tar").is_file()


def test_the_example_fine_tunes_and_validates(model_folder: Path, photos: Path, tmp_path: Path) -> None:
    printed = run(tmp_path, "sh", EXAMPLE, model_folder, photos, REPOSITORY, "--epochs", 1, "-j", 0, "-b", 8)
    assert "Acc@1" in printed
    assert (tmp_path / "runs" / "fine-tuned" / "model_best.pth.tar").is_file()
