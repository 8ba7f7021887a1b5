"""The channel graphs of a report: trials, texts, and the limit on pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nas.analysis.results import Results
from nas.report import channels
from nas.report.channels import channel_graphs
from nas.report.content import content


@pytest.fixture(scope="module")
def graphs(graph_study: Path) -> dict[str, Any]:
    graphs: dict[str, Any] = content(Results.load(graph_study))["channels"]
    return graphs


def test_only_the_front_has_graphs(graphs: dict[str, Any]) -> None:
    assert list(graphs["trials"]) == [1, 0]  # the best first


def test_stages_with_equal_blocks_share_an_entry_and_equal_blocks_a_picture(graphs: dict[str, Any]) -> None:
    entries = {trial: [(entry["title"], entry["picture"]) for entry in graphs["trials"][trial]] for trial in (0, 1)}
    assert entries == {1: [("stage 1; stage 2", 0), ("stage 3", 1)], 0: [("stage 1", 1), ("stage 2", 2)]}
    assert len(graphs["pictures"]) == 3
    assert all(set(picture) == {"data", "layout", "note"} for picture in graphs["pictures"])


def test_each_entry_has_groups_and_rule(graphs: dict[str, Any]) -> None:
    clc, dense = graphs["trials"][0]
    assert clc["path"] == "64 -16-> 64 -interlace-> 64 -4-> 64"
    assert clc["reach"] == "Full channel receptive field: yes (g1*g2 = 16*4 = 64 <= 64)."
    assert clc["outside"] == ""  # residual form plain: nothing outside
    assert dense["path"] == "64 -1-> 64 -1-> 256 -1-> 64"
    assert dense["reach"] == "Full channel receptive field: yes (attention is dense)."
    assert dense["outside"] == (
        "Not drawn: the pre norm residual connections add only each channel itself, "
        "and the squeeze-excite gate depends on all channels."
    )


def test_blocks_beyond_the_limit_are_described_in_words(graph_study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "MAX_PICTURES", 1)
    graphs = channel_graphs(Results.load(graph_study))
    assert [entry["picture"] for trial in (1, 0) for entry in graphs["trials"][trial]] == [0, None, None, None]
    assert graphs["trials"][0][0]["reach"].startswith("Full channel receptive field: yes")
    assert graphs["about"].endswith(" 1 block drawn; 2 more on the front are described in words only.")


def test_unknown_architectures_have_none(
    tmp_path: Path, study_writer: Any, stored_trial: Any, architecture: Any
) -> None:
    unknown = architecture(0)
    unknown["stages"][0]["mixer"] = {"name": "hyena"}
    study_writer(tmp_path, [stored_trial([0.5, 10.0, 1.0], None, {"architecture": unknown})])
    graphs = channel_graphs(Results.load(tmp_path))
    assert graphs["pictures"] == []
    assert graphs["trials"] == {0: []}
