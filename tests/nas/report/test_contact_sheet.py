"""The contact sheet shows the images that the study has, at the place of their class; names are escaped."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.page.contact_sheet import MAX_CLASSES
from nas.report.data_page import contact_sheet, write_data_page
from nas.study.dataset import dataset_record
from trainers.data.config import DataConfig
from trainers.data.description import describe
from trainers.data.prepared import prepare

COLOURS = ((200, 30, 30), (30, 200, 30), (30, 30, 200))


@pytest.fixture
def colour_folder(tmp_path: Path) -> Path:
    """A class of six images of each of three colours, one of them with a name that is markup."""
    root = tmp_path / "colours"
    for name, colour in zip(("a<b>", "green", "x&y"), COLOURS, strict=True):
        (root / name).mkdir(parents=True)
        for index in range(6):
            Image.new("RGB", (20, 10), tuple(value + index for value in colour)).save(root / name / f"{index}.png")
    return root


def pictures(page: str) -> list[Image.Image]:
    """The pictures embedded in `page`."""
    sources = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    return [Image.open(io.BytesIO(base64.b64decode(source))) for source in sources]


def test_each_class_has_a_strip_of_its_images(colour_folder: Path, tmp_path: Path) -> None:
    sheet = contact_sheet(prepare(DataConfig(source="folder", path=colour_folder, image_size=16), tmp_path / "data"))
    strips = pictures(sheet)
    assert [(strip.size, len(strips)) for strip in strips] == 3 * [((4 * 48 + 3 * 3, 48), 3)]
    for strip, colour in zip(strips, COLOURS, strict=True):
        for left in range(0, strip.width, 51):
            shown = np.asarray(strip)[4:44, left + 4 : left + 44].mean(axis=(0, 1))
            assert np.abs(shown - np.array(colour)).max() < 8
    assert re.findall(r"<figcaption>(.*?)</figcaption>", sheet) == [
        "a&lt;b&gt; <span>4</span>",
        "green <span>4</span>",
        "x&amp;y <span>4</span>",
    ]
    assert 'alt="4 training images of class a&lt;b&gt;"' in sheet


def test_many_classes_are_cut_with_a_note(tmp_path: Path) -> None:
    root = tmp_path / "many"
    for label in range(MAX_CLASSES + 3):
        (root / f"{label:02d}").mkdir(parents=True)
        for index in range(3):
            Image.new("L", (8, 8), 5 * label + index).save(root / f"{label:02d}" / f"{index}.png")
    sheet = contact_sheet(prepare(DataConfig(source="folder", path=root), tmp_path / "data"))
    assert len(pictures(sheet)) == MAX_CLASSES
    assert f"The first {MAX_CLASSES} of {MAX_CLASSES + 3} classes are shown." in sheet


def test_a_page_of_data_shows_the_images_and_what_they_were_taken_for(colour_folder: Path, tmp_path: Path) -> None:
    file = prepare(DataConfig(source="folder", path=colour_folder, image_size=16), tmp_path / "data")
    info = describe(file)
    copies = {"count": 3, "examples": [["train/a<b>/0.png", "val/a<b>/0.png"]]}
    leaks = {"within": {}, "across": {"train/val": copies}, "groups": {}, "conflicting": {"count": 0, "examples": []}}
    dataset = dataset_record(info) | {"duplicates": leaks}
    page = write_data_page(dataset, file, tmp_path / "data.html").read_text(encoding="utf-8")
    assert len(pictures(page)) == 3
    assert "<dt>classes</dt><dd>3: &#x27;a&lt;b&gt;&#x27; 6 (33.3 %)" in page
    assert '<tr><td>x&amp;y</td><td class="number">4</td><td class="number">1</td><td class="number">1</td>' in page
    assert "of the val split are also in the train split" in page
    assert "train/a&lt;b&gt;/0.png" in page
    without = write_data_page(dataset, None, tmp_path / "data.html").read_text(encoding="utf-8")
    assert pictures(without) == []
    assert "The decoded images are missing, so none are shown." in without
