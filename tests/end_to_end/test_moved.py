"""A study goes on wherever its images and its folder are, and however its configuration is written; other images end it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

QUICK = (
    "data.source=folder",
    "data.limit=null",
    "data.image_size=8",
    "train.epochs=1",
    "resources.workers=1",
    "resources.executor=local",
)


def write_images(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (folder / name).mkdir(parents=True)
        for index in range(12):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / name / f"{index}.png")


class GrowingStudy:
    """A study that each call extends by one trial."""

    def __init__(self, cli: Any, folder: str) -> None:
        self.cli = cli
        self.folder = folder
        self.trials = 0

    def extend(self, *words: object, file: str = "small.yaml", **environment: str) -> str:
        """Train one trial more; returns what was printed on standard error."""
        self.trials += 1
        count = f"trials={self.trials}"
        command = ("search", file, "--out", self.folder, *QUICK, count, *words)
        run = self.cli.run(*command, **environment) if environment else self.cli.read(*command)
        assert run.returncode == 0, run.stderr
        assert len(self.cli.complete(self.folder)) == self.trials
        assert len(list((self.cli.home / self.folder / "data").iterdir())) == 1  # one copy of the decoded images
        return str(run.stderr)


def test_images_and_studies_may_move_and_be_named_otherwise(cli: Any) -> None:
    home: Path = cli.home
    study = GrowingStudy(cli, "moving")
    write_images(home / "photos")
    assert study.extend("data.path=photos") == ""
    (home / "link").symlink_to("photos")
    assert study.extend("data.path=~/link/", HOME=str(home)) == ""
    (home / "elsewhere").mkdir()
    (home / "photos").rename(home / "elsewhere" / "pictures")  # another name, which is decoded again
    assert study.extend(f"data.path={home}/elsewhere/pictures") == ""

    shutil.copytree(
        home / "elsewhere" / "pictures", home / "copied", copy_function=shutil.copy
    )  # other times of change
    shutil.rmtree(home / "elsewhere")
    shutil.copytree(home / "moving", home / "backup" / "renamed")
    shutil.rmtree(home / "moving")
    study.folder = "backup/renamed"
    shutil.copy(home / "small.yaml", home / "my study.yaml")
    assert study.extend("data.path=copied", file="my study.yaml") == ""

    shutil.rmtree(home / "copied")  # what is decoded is enough
    gone = "nas: warning: data.path: copied is gone; the study uses the images that it has decoded\n"
    assert study.extend("data.path=copied") == gone
    shutil.rmtree(home / "backup" / "renamed" / "data")
    run = cli.read("search", "small.yaml", "--out", study.folder, *QUICK, "trials=99", "data.path=copied")
    assert run.returncode == 2
    assert run.stderr.startswith("nas: error: data.path=copied: data: ")


def test_other_images_and_other_settings_end_a_study_and_leave_it_alone(cli: Any) -> None:
    home: Path = cli.home
    study = GrowingStudy(cli, "staying")
    write_images(home / "first")
    study.extend("data.path=first")
    (decoded,) = (home / "staying" / "data").iterdir()
    shutil.copytree(home / "first", home / "second")
    Image.new("RGB", (8, 8), (1, 2, 3)).save(home / "second" / "cats" / "0.png")
    command = ("search", "small.yaml", "--out", "staying", *QUICK, "trials=2")
    for words, text in (
        (("data.path=second",), "data.path=second: data: must stay the images that the study started with, "),
        (("data.path=first", "data.on_error=skip"), "must stay 'fail' as at the start of the study"),
        (("data.path=first", "data.limit=20"), "must stay None as at the start of the study, found 20"),
        (("data.path=first", "data.seed=1"), "must stay 0 as at the start of the study, found 1"),
        (("data.path=first", "seed=1"), "must stay 0 as at the start of the study, found 1"),
        (("data.path=first", "space.stages.0.width=[8]"), "must stay [8, 16] as at the start"),
    ):
        run = cli.read(*command, *words)
        assert run.returncode == 2, run.stderr
        assert text in run.stderr
        assert run.stderr.count("\n") == 1
        assert list((home / "staying" / "data").iterdir()) == [decoded]
    assert len(cli.complete("staying")) == 1
    (home / "second" / "dogs" / "0.png").write_bytes(b"no image")  # broken images are not images that are gone
    broken = cli.read(*command, "data.path=second")
    assert broken.returncode == 2
    assert "dogs/0.png" in broken.stderr


def test_a_space_that_is_written_otherwise_is_the_same(cli: Any) -> None:
    home: Path = cli.home
    study = GrowingStudy(cli, "rewritten")
    write_images(home / "images")
    study.extend("data.path=images")
    plain = yaml.safe_load((home / "small.yaml").read_text())
    for stage in plain["space"]["stages"]:
        stage["width"] = [16, 8]
        stage["depth"] = [2, 1]
        stage["mixer"] = {"pool": {"k": 3}, "global_filter": {}, "conv": {"k": [5, 3], "bias": True}}
        stage["channel_mixer"] = {"mlp": {"expansion": [2.0, 1.0], "groups": ["full"]}}
        stage["norm"] = "batch"
    plain["space"]["layout"] = ["pyramid", "isotropic"]
    plain["objectives"] = ["images_per_s", "accuracy", "macs"]
    plain["name"] = "another name"
    (home / "rewritten.yaml").write_text(yaml.safe_dump(plain))
    study.extend("data.path=images", file="rewritten.yaml")
    assert [trial.values[0] <= 1 < trial.values[1] for trial in cli.complete("rewritten")] == [True, True]


def test_an_earlier_study_may_move_and_be_gone(cli: Any) -> None:
    home: Path = cli.home
    write_images(home / "prior")
    for name in ("earlier", "third"):
        GrowingStudy(cli, name).extend("data.path=prior")
    study = GrowingStudy(cli, "later")
    study.extend("data.path=prior", "start.study=earlier")
    (home / "earlier").rename(home / "kept")
    assert study.extend("data.path=prior", "start.study=kept") == ""
    command = ("search", "small.yaml", "--out", "later", *QUICK, "data.path=prior", "trials=9", "start.study=third")
    other = cli.read(*command)
    assert other.returncode == 2
    assert "must stay the study that this one has started from, small of " in other.stderr
    errors = study.extend("data.path=prior", "start.study=earlier")
    assert errors.startswith("nas: warning: ")
    assert errors.endswith("; the search goes on without its accuracies\n")
