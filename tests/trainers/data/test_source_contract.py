"""What every data source promises, and that a new one is one file: from its registration to a trained epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from trainers.data import sources
from trainers.data.config import DataConfig, SplitConfig
from trainers.data.dataset import load
from trainers.data.description import describe
from trainers.data.prepared import prepare
from trainers.data.sources import Source
from trainers.data.types import (
    AugmentPolicy,
    DecodedData,
    ImageSummary,
    LabeledImages,
    LocatedData,
    PassedOver,
    ReadContext,
    SourceOption,
    SourceRequest,
)
from trainers.training.config import TrainConfig
from trainers.training.loop import train

VALUES: dict[str, object] = {
    "splits": {"train": "a"},
    "input_key": "pixels",
    "target_key": "class",
    "download": True,
    "group_by": "patient[0-9]+",
    "classes": ("cat", "dog"),
    "split": SplitConfig(file=Path("split.csv")),
}


def full_name(source: Source) -> str:
    """A name that a configuration may give: that of a family needs a rest."""
    return f"{source.name}anything" if source.name.endswith("/") else source.name


def fields(source: Source, **options: object) -> dict[str, object]:
    """The fields of a configuration that this source accepts, and `options`."""
    path = {"path": "/images"} if source.path == "required" else {}
    return {"source": full_name(source), **path, **options}


@pytest.mark.parametrize("source", sources.SOURCES.values(), ids=lambda source: source.name)
class TestEverySource:
    def test_is_found_by_its_name(self, source: Source) -> None:
        assert sources.get(full_name(source)) is source

    def test_declares_a_policy_and_options_that_exist(self, source: Source) -> None:
        assert source.augment in get_args(AugmentPolicy)
        assert source.options <= set(get_args(SourceOption))

    def test_accepts_exactly_the_options_that_it_declares(self, source: Source) -> None:
        for option in get_args(SourceOption):
            values = fields(source, **{option: VALUES[option]})
            if option in source.options:
                assert getattr(DataConfig.model_validate(values), option) == VALUES[option]
            else:
                with pytest.raises(ValidationError, match=f"{option}: source '{full_name(source)}' has no such option"):
                    DataConfig.model_validate(values)

    def test_takes_a_path_as_it_declares(self, source: Source) -> None:
        for path in ({}, {"path": "/images"}):
            values = {"source": full_name(source), **path}
            if (source.path == "required" and not path) or (source.path == "none" and path):
                with pytest.raises(ValidationError, match=r"path: source '.*' reads from (a|no) folder"):
                    DataConfig.model_validate(values)
            else:
                assert DataConfig.model_validate(values).source == full_name(source)


@dataclass(frozen=True)
class Stripes(Source):
    """Synthetic images: class 0 has dark rows, class 1 has dark columns. The option `input_key` names their colour."""

    def locate(self, request: SourceRequest) -> LocatedData:
        def read(context: ReadContext) -> DecodedData:
            size = request.image_size or 8
            rng = np.random.default_rng(0)
            images = rng.integers(128, 256, (60, 1, size, size), dtype=np.uint8)
            labels = np.arange(60, dtype=np.int64) % 2
            images[labels == 0, :, ::2] = 0
            images[labels == 1, :, :, ::2] = 0
            if context.progress is not None:
                context.progress(60, 60)
            return DecodedData(
                f"stripes {request.input_key}", ("rows", "columns"), {"train": LabeledImages(images, labels)}
            )

        return LocatedData(f"version 1 {request.input_key}", read)


@pytest.fixture
def stripes() -> Iterator[Source]:
    """The synthetic source, registered."""
    yield sources.register(Stripes("stripes", path="none", augment="flip", options=frozenset({"input_key"})))
    del sources.SOURCES["stripes"]


def test_a_new_source_is_prepared_described_loaded_and_trained_on(stripes: Source, tmp_path: Path) -> None:
    config = DataConfig(source="stripes", input_key="grey", image_size=8)
    calls: list[tuple[int, int]] = []
    file = prepare(config, tmp_path, lambda done, total: calls.append((done, total)))
    assert set(calls) == {(60, 60)}
    assert file.name.startswith("stripes-")
    info = describe(file)
    assert (info.name, info.class_names, info.image_size, info.in_chans) == (
        "stripes grey",
        ("rows", "columns"),
        (8, 8),
        1,
    )
    assert (info.counts, info.default_augment) == ({"train": 36, "val": 12, "test": 12}, "flip")
    data = load(file)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    (epoch,) = train(net, data, TrainConfig(epochs=1, batch_size=12), seed=0)
    assert epoch.val_accuracy is not None
    # The declared rules hold for it as for the others.
    assert prepare(DataConfig(source="stripes", input_key="red"), tmp_path) != file
    with pytest.raises(ValidationError, match="download: source 'stripes' has no such option, found True"):
        DataConfig(source="stripes", download=True)
    with pytest.raises(ValidationError, match="path: source 'stripes' reads from no folder"):
        DataConfig(source="stripes", path=tmp_path)


PASSED_OVER = (PassedOver("train", "hidden", 30, ("a/.x",)), PassedOver(None, "type .txt", 1, ("README.txt",)))
SUMMARY = ImageSummary(
    60, (8, 9, 20), (8, 8, 8), {"L": 59, "I;16": 1}, {"PNG": 60}, multi_frame=2, value_range=(3.0, 4095.0)
)


@dataclass(frozen=True)
class SummarizedStripes(Stripes):
    """Stripes that know what was passed over, and what the images were."""

    def locate(self, request: SourceRequest) -> LocatedData:
        located = super().locate(request)

        def read(context: ReadContext) -> DecodedData:
            return replace(located.read(context), passed_over=PASSED_OVER, summaries={"train": SUMMARY})

        return replace(located, read=read)


def test_what_a_source_records_is_kept_in_the_prepared_file(stripes: Source, tmp_path: Path) -> None:
    plain = describe(prepare(DataConfig(source="stripes"), tmp_path / "plain"))
    assert (plain.passed_over, plain.summaries) == ((), {})
    sources.SOURCES["stripes"] = SummarizedStripes("stripes", path="none", augment="flip")
    info = describe(prepare(DataConfig(source="stripes"), tmp_path / "summarized"))
    assert (info.passed_over, info.summaries) == (PASSED_OVER, {"train": SUMMARY})
    assert info.fingerprint == plain.fingerprint


def test_a_file_of_an_earlier_version_is_described() -> None:
    (file,) = (Path(__file__).parents[2] / "fixtures" / "v0_1" / "study" / "data").iterdir()
    info = describe(file)
    assert (info.name, info.passed_over, info.summaries) == ("digits", (), {})


def test_an_unknown_option_is_refused_at_registration() -> None:
    wrong = Stripes("stripes", path="none", augment="flip", options=frozenset({"colour"}))  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"data source 'stripes': options must be among splits, .*, found \['colour'\]"
    ):
        sources.register(wrong)
    assert "stripes" not in sources.SOURCES
