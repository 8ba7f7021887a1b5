"""The channel dependency graph of each block, and what the rule for grouped layers says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nas.models.diagnose.registry import Advance, Diagnosis, Drawing, NotApplicable, register
from nas.models.diagnose.subject import DiagnosedModel, ImageSample
from nas.page.channels import channel_pictures, channel_texts
from search_space import Architecture


@dataclass(frozen=True)
class BlockChannels:
    """A different block of a network.

    Args:
        stages: the stages that have it.
        path: its channels and the groups of its layers.
        reach: whether each output depends on each input, and by which rule.
        outside: what the graph leaves out; empty if nothing.
    """

    stages: str
    path: str
    reach: str
    outside: str


@dataclass(frozen=True)
class ChannelDependencies:
    """The different blocks of a network in the order of its stages.

    Args:
        blocks: in words.
        architecture: the description that they are of, as JSON.
    """

    blocks: tuple[BlockChannels, ...]
    architecture: str


class Channels(Diagnosis[ChannelDependencies]):
    """Channel dependency graphs."""

    name = "channels"
    order = 7
    title = "Channel dependencies"
    about = (
        "Which input channels each channel of a block depends on, layer by layer (clcNet; Zhang, 2018). Two grouped layers with L"
        " channels between them, g1 and g2 groups and interlacing reach every channel if and only if g1*g2 is at most L."
    )

    def passes(self, images: ImageSample) -> float:
        return 10.0

    def measure(self, subject: DiagnosedModel, images: ImageSample, advance: Advance) -> ChannelDependencies:
        if subject.architecture is None:
            raise NotApplicable("no description of its blocks")
        texts = channel_texts(subject.architecture)
        blocks = tuple(
            BlockChannels(text["title"], text["path"], text["reach"], text.get("outside", "")) for text in texts
        )
        advance(10)
        return ChannelDependencies(blocks, subject.architecture.to_json())

    def numbers(self, result: ChannelDependencies) -> Mapping[str, float | None]:
        return {}

    def draw(
        self, results: Mapping[str, ChannelDependencies], colours: Mapping[str, str], images: ImageSample
    ) -> Drawing:
        figures = []
        for name, result in results.items():
            drawings = channel_pictures(Architecture.from_json(result.architecture))
            for block, drawn in zip(result.blocks, drawings, strict=True):
                title = f"{name}: {block.stages}"
                parts = [f"{block.path}.", block.reach, block.outside, drawn["note"]]
                note = " ".join(part for part in parts if part)
                figures.append(
                    {"title": title, "note": note, "wide": True, "data": drawn["data"], "layout": drawn["layout"]}
                )
        return Drawing(figures)


register(Channels())
