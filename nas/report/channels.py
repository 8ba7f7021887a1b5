"""The channel dependency graphs of a report: the blocks of each trial on the front, each different block drawn once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nas.analysis.channel_text import block_stacks, path_text, reach_text
from nas.analysis.results import Results
from nas.figures import channels_figure, channels_info
from nas.formatting import count
from search_space.channel_graph import Stack

MAX_PICTURES: Final = 24
"""Maximum number of drawn blocks; a picture takes 20 to 150 KB."""

_ABOUT: Final = (
    "The channel dependencies of one block of each stage, from its input channels (left) to its output channels (right). Within "
    "a ribbon, every output depends on every input. Channels of one colour depend on the same inputs of the block; after the "
    "first column, grey channels depend on all of them, as every output of a block must. One output and its dependencies are "
    "orange; hover over another output to see its dependencies."
)


class _Pictures:
    """The pictures of different blocks in the order of their first use, at most `MAX_PICTURES`."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.omitted = 0
        self._indices: dict[Stack, int | None] = {}

    def index(self, block: Stack) -> int | None:
        """The index of the picture of `block`; None if there are too many already."""
        if block not in self._indices:
            has_room = len(self.items) < MAX_PICTURES
            self._indices[block] = len(self.items) if has_room else None
            if has_room:
                self.items.append(_picture(block))
            else:
                self.omitted += 1
        return self._indices[block]


def channel_graphs(results: Results) -> dict[str, Any]:
    """The data of the script: `about`, `pictures`, and `trials`: number -> an entry for each different block.

    The best trial comes first, then the front in its order. The entry of a block without a picture is text only.
    """
    best = None if results.best is None else int(results.best["trial"])
    rows = sorted(results.front.to_dict("records"), key=lambda row: row["trial"] != best)
    pictures = _Pictures()
    trials = {int(row["trial"]): _entries(row["architecture"] or {}, pictures) for row in rows}
    about = _ABOUT
    if pictures.omitted:
        about += (
            f" {count(MAX_PICTURES, 'block')} drawn; {pictures.omitted} more on the front are described in words only."
        )
    return {"about": about, "pictures": pictures.items, "trials": trials}


def _entries(architecture: Mapping[str, Any], pictures: _Pictures) -> list[dict[str, Any]]:
    """The different blocks of an architecture in the order of its stages, each with the stages that have it."""
    titles_of: dict[tuple[Stack, str], list[str]] = {}
    for number, blocks in enumerate(block_stacks(architecture), start=1):
        outside = _outside_text(architecture["stages"][number - 1])
        for index, block in enumerate(blocks):
            part = "" if len(blocks) == 1 else (", other blocks" if index else ", first block")
            titles_of.setdefault((block, outside), []).append(f"stage {number}{part}")
    return [
        {
            "title": "; ".join(titles),
            "path": path_text(block),
            "reach": f"Full channel receptive field: {reach_text(block)}.",
            "outside": outside,
            "picture": pictures.index(block),
        }
        for (block, outside), titles in titles_of.items()
    ]


def _outside_text(stage: Mapping[str, Any]) -> str:
    """The parts of a block that the graph leaves out."""
    parts = []
    residual = str(stage.get("residual") or "plain").replace("_", " ")
    if residual != "plain":
        parts.append(f"the {residual} residual connections add only each channel itself")
    if stage.get("squeeze_excite"):
        parts.append("the squeeze-excite gate depends on all channels")
    return f"Not drawn: {', and '.join(parts)}." if parts else ""


def _picture(block: Stack) -> dict[str, Any]:
    info = channels_info(block)
    plain = channels_figure(info).to_plotly_json()
    return {"data": plain["data"], "layout": plain["layout"], "note": info.note}
