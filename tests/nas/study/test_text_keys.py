"""Texts of a configuration are taken as the user wrote them, in overrides and in files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given, strategies as st

from nas.errors import ConfigError
from nas.study.config import StudyConfig

STUDY = """\
space: {stem: {patch: 2}, image_size: 8, stages: [{mixer: pool, width: 8}]}
data:
  source: hfds/mnist
  path: photos
"""
NASTY = (
    "photos #2", "2024", "007", "1e3", "0x10", "[raw]", "{x}", "My: pictures", "yes", "true", "~", "a: b", "*x", "&x", "!x", "%x",
    "@x", "`x`", "- x", "? x", "| x", "> x", "a b  c", " a ", "it's", 'a "b"', '"a" and "b"', "'a", "a#b", "#a", "a\\b", "a\nb",
    "C:\\photos", "//host/share", "50%", "a?b", "ü", "\u3000", "🙂", "...", "---", "<<", "${x}", "$x", "!!int 3", "Null", "NULL",
)  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("study") / "mine.yaml"
    file.write_text(STUDY)
    return file


@pytest.mark.parametrize("text", NASTY)
def test_an_override_of_a_text_key_is_verbatim(study: Path, text: str) -> None:
    assert StudyConfig.from_file(study, f"data.target_key={text}").data.target_key == text
    if text != "~":
        assert StudyConfig.from_file(study, f"data.path={text}").data.path == Path(text)
    splits = StudyConfig.from_file(study, f"data.splits.train={text}").data.splits
    assert splits == {"train": text}


def test_the_name_of_a_folder_may_have_bytes_that_are_no_text(study: Path) -> None:
    config = StudyConfig.from_file(study, "data.path=caf\udce9")
    assert config.data.path == Path("caf\udce9")
    assert StudyConfig.model_validate(config.model_dump(mode="json")).data == config.data


@example(text='"')
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_text_is_verbatim_unless_it_is_quoted_from_end_to_end(study: Path, text: str) -> None:
    if text == "null" or (len(text) > 1 and text[0] == text[-1] and text[0] in "'\""):
        return
    assert StudyConfig.from_file(study, f"data.target_key={text}").data.target_key == text


@pytest.mark.parametrize(
    ("text", "value"), [('"2024"', "2024"), ("'a #1'", "a #1"), ('"\\"x\\""', '"x"'), ('"null"', "null"), ("''", "")]
)
def test_quotes_from_end_to_end_are_those_of_yaml(study: Path, text: str, value: str) -> None:
    assert StudyConfig.from_file(study, f"data.target_key={text}").data.target_key == value


@pytest.mark.parametrize("text", ["null", ""])
def test_null_means_none_where_a_key_may_be_left_out(study: Path, text: str) -> None:
    config = StudyConfig.from_file(study, f"data.target_key={text}", f"data.path={text}")
    assert (config.data.target_key, config.data.path) == (None, None)


def test_a_name_may_be_null_or_a_number(study: Path) -> None:
    assert StudyConfig.from_file(study, "name=null").name == "null"
    assert StudyConfig.from_file(study, "name=2024").name == "2024"
    with pytest.raises(ConfigError, match=r"^name=: string should have at least 1 character"):
        StudyConfig.from_file(study, "name=")


def test_the_home_of_a_user_is_expanded_and_that_of_no_user_is_a_name(study: Path) -> None:
    home = Path(os.environ["HOME"])
    assert StudyConfig.from_file(study, "data.path=~/photos").data.path == home / "photos"
    assert StudyConfig.from_file(study, "data.path=~").data.path == home
    assert StudyConfig.from_file(study, "data.path=~nobody_of_this_name/y").data.path == Path("~nobody_of_this_name/y")


def test_other_keys_are_yaml(study: Path) -> None:
    words = ("objectives=[accuracy, params]", "limits.macs=2e6", "train.ema=null", "start={presets: [clcnet_a]}")
    config = StudyConfig.from_file(study, *words)
    assert (config.objectives, config.limits) == (("accuracy", "params"), {"macs": 2e6})
    assert config.start.presets == ("clcnet_a",)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("2024", "2024"),
        ("007", "007"),
        ("1e3", "1e3"),
        ("-0x1F", "-0x1F"),
        ("1.50", "1.50"),
        (".inf", ".inf"),
        ("yes", "yes"),
    ],
)
def test_a_number_at_a_text_key_of_a_file_is_its_text(tmp_path: Path, written: str, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"name: {written}\n" + STUDY.replace("photos", written))
    config = StudyConfig.from_file(file)
    assert (config.name, config.data.path) == (text, Path(text))


def test_numbers_at_text_keys_in_lists_and_mappings_of_overrides_are_texts(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(STUDY.replace("hfds/mnist", "folder"))
    words = ("data.classes=[0, 007, 1e3, x]", "train.epochs=7")
    config = StudyConfig.from_file(file, *words)
    assert (config.data.classes, config.train.epochs) == (("0", "007", "1e3", "x"), 7)
    whole = "data={source: folder, path: 2024, classes: [0, 1], limit: 100}"
    data = StudyConfig.from_file(file, whole).data
    assert (data.path, data.classes, data.limit) == (Path("2024"), ("0", "1"), 100)


def test_numbers_stay_numbers_and_merged_texts_are_texts(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(STUDY.replace("data:", "train: {epochs: 3}\ndata:\n  <<: {target_key: 08, limit: 20}"))
    config = StudyConfig.from_file(file)
    assert (config.train.epochs, config.data.target_key, config.data.limit) == (3, "08", 20)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("true", "data.path: must be text, in quotes where YAML reads something else, found true"),
        ("[raw]", "data.path: must be text, in quotes where YAML reads something else, found [raw]"),
        ('"a\\0b"', "data.path: must be text without null characters, found "),
        ("My: pictures", "not YAML: mapping values are not allowed here; a text that contains ': ' needs quotes"),
    ],
)
def test_what_is_no_text_is_an_error_with_its_place(tmp_path: Path, written: str, message: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(STUDY.replace("photos", written))
    with pytest.raises(ConfigError) as caught:
        StudyConfig.from_file(file)
    assert str(caught.value).startswith(f"{file}:4:")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31m", "a\udce9", "\u202egnp.exe"])
def test_a_name_must_be_printable(study: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"must be (printable )?text"):
        StudyConfig.from_file(study, f"name={name}")


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("\ufeff" + STUDY)
    assert StudyConfig.from_file(file).data.path == Path("photos")
