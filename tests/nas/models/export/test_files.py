"""The files of an export, each read by what it is written for."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from nas import Study, export
from nas.models.export import Provenance
from nas.models.export.model_card import write_card
from nas.models.export.trained_model import TrainedModel
from nas.models.front_test_accuracy import load_images
from nas.study.outcomes.predicted_values import PREDICTED_VALUES
from search_space import Architecture

FILES = (
    *("README.md", "architecture.svg", "architecture.yaml", "class_map.txt", "config.json", "model.safetensors"),
    *("provenance.json", "train.yaml"),
)
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def json_of(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def test_the_folder_has_these_files_with_the_mode_of_new_files(small_study: Path, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        export(Study.open(small_study), "best", tmp_path / "model")
    finally:
        os.umask(before)
    files = sorted((tmp_path / "model").iterdir())
    assert tuple(file.name for file in files) == FILES
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o640}


def test_names_of_classes_are_at_the_root_of_the_configuration(model_folder: Path) -> None:
    config, classes = json_of(model_folder / "config.json"), [str(digit) for digit in range(10)]
    assert config["label_names"] == classes
    assert "label_names" not in config["pretrained_cfg"]
    model = timm.create_model(f"local-dir:{model_folder}", pretrained=True)
    assert model.pretrained_cfg["label_names"] == classes


def test_arguments_of_the_model_agree_with_its_architecture(model_folder: Path) -> None:
    arguments = json_of(model_folder / "config.json")["model_args"]
    architecture = arguments["architecture"]
    assert arguments["num_classes"] == architecture["num_classes"] == 10
    assert arguments["in_chans"] == architecture["in_chans"] == 1
    assert arguments["img_size"] == architecture["image_size"] == [8, 8]


def test_the_architecture_is_read_again(model_folder: Path, small_study: Path) -> None:
    best = Study.open(small_study).results().best
    architecture = Architecture.from_file(model_folder / "architecture.yaml")
    assert architecture == Architecture.from_dict(best["architecture"])
    comment = (model_folder / "architecture.yaml").read_text().partition("\n")[0]
    assert comment.startswith(f"# The architecture {best['id']}, trial {best['trial']} of the study small: ")


def test_the_provenance_keeps_each_accuracy_apart(model_folder: Path, small_study: Path) -> None:
    study = Study.open(small_study)
    best = study.results().best
    provenance = Provenance.from_dict(json_of(model_folder / "provenance.json"))
    assert (provenance.study, provenance.trial, provenance.training_seed) == ("small", best["trial"], best["seed"])
    assert provenance.accuracies.proxy == best["accuracy"]
    assert provenance.accuracies.test == study.test_accuracy[str(best["trial"])]
    assert provenance.accuracies.retrained is None
    assert (provenance.costs["macs"], provenance.costs["params"]) == (best["macs"], best["params"])
    assert provenance.data.fingerprint == study.fingerprint
    assert provenance.data.images == {part: study.dataset[part] for part in ("train", "val", "test")}
    assert provenance.data.licence == "CC-BY-4.0"
    assert provenance.trained_with["torch"] == provenance.exported_with["torch"] == torch.__version__.partition("+")[0]
    assert provenance.epochs == 1


def test_the_provenance_is_a_record_with_a_schema(model_folder: Path) -> None:
    plain = json_of(model_folder / "provenance.json")
    assert Provenance.from_dict({**plain, "a key of a later version": 1}).to_dict() == plain
    with pytest.raises(ValueError, match="schema: must be at most 1, found 2"):
        Provenance.from_dict({**plain, "schema": 2})
    for damaged in ({}, {"schema": 1}, {**plain, "data": None}, {**plain, "accuracies": {"proxy": 1}, "data": 3}):
        with pytest.raises(ValueError, match="is no record of where a model comes from"):
            Provenance.from_dict(damaged)


def test_nothing_names_the_machine_or_its_folders(model_folder: Path, small_study: Path) -> None:
    texts = [file.read_text() for file in model_folder.iterdir() if file.suffix != ".safetensors"]
    for private in (str(small_study), str(Path.home()), f'"{socket.gethostname()}"'):
        assert not any(private in text for text in texts)


def test_the_hub_reads_the_card(model_folder: Path, small_study: Path) -> None:
    best = Study.open(small_study).results().best
    card = ModelCard.load(model_folder / "README.md", ignore_metadata_errors=False)
    assert (card.data.library_name, card.data.pipeline_tag) == ("timm", "image-classification")
    assert card.data.model_name == f"small-trial-{best['trial']}"
    results = {result.dataset_split: result for result in card.data.eval_results or ()}
    assert results["validation"].metric_value == best["accuracy"]
    assert "proxy" in str(results["validation"].metric_name)
    assert results["test"].metric_value == best["test_accuracy"]
    assert {result.dataset_name for result in results.values()} == {"digits"}
    assert {result.metric_type for result in results.values()} == {"accuracy"}


def test_the_code_of_the_card_runs(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(model_folder)
    blocks = PYTHON_BLOCK.findall((model_folder / "README.md").read_text())
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
    name, probability = capsys.readouterr().out.splitlines()[0].split()
    assert name in map(str, range(10))
    assert 0.1 < float(probability) <= 1


def test_the_card_names_every_file(model_folder: Path) -> None:
    card = (model_folder / "README.md").read_text()
    for name in FILES:
        assert name == "README.md" or f"| `{name}` |" in card or f"({name})" in card


def test_names_of_others_are_no_markup_in_the_card(small_study: Path, tmp_path: Path) -> None:
    study = Study.open(small_study)
    names = [
        "<script>alert(1)</script>",
        "[x](http://h)",
        "a|b",
        "# c\n# d",
        "`e`",
        "**f**",
        "![g](h)",
        "&lt;",
        "\\",
        "\u202ei",
    ]
    images = replace(load_images(study), class_names=tuple(names), name="x\n---\n<img src=x onerror=y>|")
    trained = replace(TrainedModel.load(study, study.results().trial(0), load_images(study)), images=images)
    write_card(trained, Provenance.of(trained), (), tmp_path)
    text = (tmp_path / "README.md").read_text()
    _, matter, body = text.split("---\n", 2)
    dataset = yaml.safe_load(matter)["model-index"][0]["results"][0]["dataset"]
    assert dataset["name"] == "x\\n---\\n<img src=x onerror=y>|"
    tokens = MarkdownIt("commonmark").enable("table").parse(body)
    inline = [child for token in tokens for child in token.children or ()]
    assert not {token.type for token in (*tokens, *inline)} & {"html_block", "html_inline", "link_open", "strong_open"}
    assert [child.attrs["src"] for child in inline if child.type == "image"] == ["architecture.svg"]
    shown = "".join(child.content for child in inline if child.type in ("text", "text_special"))
    for name in names[:3]:
        assert name in shown
    assert [token.tag for token in tokens if token.type == "heading_open"].count("h1") == 1


def test_the_card_says_that_a_throughput_was_predicted(small_study: Path, tmp_path: Path) -> None:
    study = Study.open(small_study)
    row = study.results().trial(0).copy()
    row["images_per_s"], row[PREDICTED_VALUES] = 8000.0, {"images_per_s": [8000.0, 7000.0, 9000.0]}
    trained = TrainedModel.load(study, row, load_images(study))
    for is_predicted, text in ((True, "8.00 k predicted, not measured"), (False, "8.00 k on ")):
        row[PREDICTED_VALUES] = row[PREDICTED_VALUES] if is_predicted else None
        provenance = Provenance.of(replace(trained, row=row))
        assert bool(provenance.predicted_values) == is_predicted
        assert Provenance.from_dict(provenance.to_dict()) == provenance
        write_card(trained, provenance, (), tmp_path)
        assert f"| images per second in the search | {text}" in (tmp_path / "README.md").read_text()
