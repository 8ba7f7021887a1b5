"""The channel graphs of a report: for each trial on the front its stages' blocks, each different block drawn once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nas.analysis.architecture_text import path_text, reach_text, stacks
from nas.analysis.results import Results
from nas.figures import channels_figure, channels_info
from nas.formatting import count
from search_space.channel_graph import Stack

PICTURES: Final = 24
"""Blocks that are drawn at most: some 20 to 150 KB each."""

_ABOUT: Final = (
    "One block of each stage, from its input channels at the left to its output channels at the right. Within a ribbon every "
    "output depends on every input. Channels of one colour depend on the same inputs; behind the first column grey ones depend "
    "on all of them, as every output of a block must. Orange: one output and all that it depends on; point at another to see "
    "its own."
)


class _Pictures:
    """The pictures of different blocks, in the order in which they were first asked for."""

    def __init__(self) -> None:
        self.drawn: list[dict[str, Any]] = []
        self.left_out = 0
        self._places: dict[Stack, int | None] = {}

    def index(self, block: Stack) -> int | None:
        """The place of the picture of `block`; None if there is no room for it."""
        if block not in self._places:
            has_room = len(self.drawn) < PICTURES
            self._places[block] = len(self.drawn) if has_room else None
            if has_room:
                self.drawn.append(_picture(block))
            else:
                self.left_out += 1
        return self._places[block]


def channel_graphs(results: Results) -> dict[str, Any]:
    """What the page's script draws: `about`, `pictures`, and `trials`: number -> an entry for each different block of it.

    The best trial comes first, then the front in its order; the entry of a block for which there was no room has a text
    alone.
    """
    best = None if results.best is None else int(results.best["trial"])
    rows = sorted(results.front.to_dict("records"), key=lambda row: row["trial"] != best)
    pictures = _Pictures()
    trials = {int(row["trial"]): _entries(row["architecture"] or {}, pictures) for row in rows}
    about = _ABOUT
    if pictures.left_out:
        about += f" {count(PICTURES, 'different block')} drawn; {pictures.left_out} more of the front are told in words alone."
    return {"about": about, "pictures": pictures.drawn, "trials": trials}


def _entries(architecture: Mapping[str, Any], pictures: _Pictures) -> list[dict[str, Any]]:
    """The different blocks of an architecture in the order of its stages, with the stages that consist of each."""
    found: dict[tuple[Stack, str], list[str]] = {}
    for number, blocks in enumerate(stacks(architecture), start=1):
        outside = _outside(architecture["stages"][number - 1])
        for index, block in enumerate(blocks):
            part = "" if len(blocks) == 1 else (", other blocks" if index else ", first block")
            found.setdefault((block, outside), []).append(f"stage {number}{part}")
    return [
        {
            "title": "; ".join(titles),
            "path": path_text(block),
            "reach": f"Full channel receptive field: {reach_text(block)}.",
            "outside": outside,
            "picture": pictures.index(block),
        }
        for (block, outside), titles in found.items()
    ]


def _outside(stage: Mapping[str, Any]) -> str:
    """What stands around the path that the rule concerns."""
    parts = []
    residual = str(stage.get("residual") or "plain").replace("_", " ")
    if residual != "plain":
        parts.append(f"the {residual} residual connections add to each channel only itself")
    if stage.get("squeeze_excite"):
        parts.append("the squeeze-excite gate depends on all channels")
    return f"Outside the path drawn: {', and '.join(parts)}." if parts else ""


def _picture(block: Stack) -> dict[str, Any]:
    info = channels_info(block)
    plain = channels_figure(info).to_plotly_json()
    return {"data": plain["data"], "layout": plain["layout"], "note": info.note}
