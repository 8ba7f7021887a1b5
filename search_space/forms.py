"""What the blocks of a stage cost, a function for each residual form (`macro.py`); no torch.

They say in operations of a tape (`costs.py`) what the modules of `modules/blocks.py` compute, line by line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from search_space import blocks
from search_space.blocks import BlockShape
from search_space.costs import Map, Tape
from search_space.macro import Residual
from search_space.mixers import Mixer

if TYPE_CHECKING:
    from search_space.architecture import Stage


def trace(stage: Stage, sites: tuple[BlockShape, ...], x: Map, tape: Tape) -> Map:
    """Write on `tape` what the blocks of `stage` do to `x`; the map that comes out.

    A block that is like one before it, where a like map comes in, costs the same.
    """
    form = FORMS[stage.residual]
    spelled = [_spelled(stage, site) for site in (sites[0], sites[-1])]
    known: dict[tuple[bool, int, bool, bool], _Block] = {}
    for index, site in enumerate(sites):
        mixer = spelled[site is sites[-1]].at(index)
        comes = (site is sites[-1], id(mixer), x.last, x.kept)  # the mixer lives on in `known`: no other has its id
        if comes not in known:
            tape_of_block = Tape()
            y = form(stage, mixer, site, x, tape_of_block)
            known[comes] = _Block(mixer, tape_of_block, y.last, y.kept)  # as it is now: what comes next may keep it too
        block = known[comes]
        tape.add(block.tape.macs, block.tape.params, block.tape.fft_flops, block.tape.kept)
        x = Map(site.width, site.size, block.last)
        x.kept = block.kept
    return x


class _Block(NamedTuple):
    """What a block has cost, and what came out of it."""

    mixer: Mixer
    tape: Tape
    last: bool
    kept: bool


def _spelled(stage: Stage, site: BlockShape) -> Mixer:
    return blocks.at_spot(stage, blocks.spot(stage.residual, stage.channel_mixer, site))


def _pre_norm(stage: Stage, mixer: Mixer, site: BlockShape, x: Map, tape: Tape) -> Map:
    _scaled(stage, mixer.trace(tape.norm(stage.norm, x), tape), tape)
    x = x.like()
    _scaled(stage, _channels(stage, tape.norm(stage.norm, x), tape), tape)
    return x.like()


def _single(stage: Stage, mixer: Mixer, site: BlockShape, x: Map, tape: Tape) -> Map:
    y = mixer.trace(tape.norm(stage.norm, x), tape)
    _scaled(stage, _channels(stage, tape.norm(stage.norm, y), tape), tape)
    return x.like()


def _convmixer(stage: Stage, mixer: Mixer, site: BlockShape, x: Map, tape: Tape) -> Map:
    _scaled(stage, tape.norm(stage.norm, tape.act(stage.act, mixer.trace(x, tape))), tape)
    return tape.norm(stage.norm, tape.act(stage.act, _channels(stage, x.like(), tape)))


def _shiftvit(stage: Stage, mixer: Mixer, site: BlockShape, x: Map, tape: Tape) -> Map:
    x = mixer.trace(x, tape)
    _scaled(stage, _channels(stage, tape.norm(stage.norm, x), tape), tape)
    return x.like()


def _plain(stage: Stage, mixer: Mixer, site: BlockShape, x: Map, tape: Tape) -> Map:
    y = tape.norm(stage.norm, _tokens(mixer, site, x, tape))
    return tape.act(stage.act, tape.norm(stage.norm, _channels(stage, y, tape)))


def _bottleneck(stage: Stage, mixer: Mixer, site: BlockShape, x: Map, tape: Tape) -> Map:
    pair = blocks.pair_of(stage.channel_mixer)
    y = tape.act(stage.act, tape.norm(stage.norm, pair.trace_first(x, tape, site.width)))
    y = _tokens(mixer, site, pair.trace_between(y, tape), tape)
    y = tape.act(stage.act, tape.norm(stage.norm, y))
    y = tape.norm(stage.norm, pair.trace_second(y, tape, site.width))
    _scaled(stage, _gated(stage, y, tape), tape)
    if site.changes:
        x = stage.downsampling.trace(x, tape, site.width, stage.norm, site.stride)
    return tape.act(stage.act, x.like())


FORMS: dict[Residual, Callable[[Stage, Mixer, BlockShape, Map, Tape], Map]] = {
    "pre_norm": _pre_norm,
    "single": _single,
    "convmixer": _convmixer,
    "shiftvit": _shiftvit,
    "plain": _plain,
    "bottleneck": _bottleneck,
}


def _tokens(mixer: Mixer, site: BlockShape, x: Map, tape: Tape) -> Map:
    return mixer.trace_halving(x, tape) if site.stride == 2 else mixer.trace(x, tape)


def _channels(stage: Stage, x: Map, tape: Tape) -> Map:
    return _gated(stage, stage.channel_mixer.trace(x, tape, stage.act, stage.width), tape)


def _gated(stage: Stage, x: Map, tape: Tape) -> Map:
    return x if stage.squeeze_excite is None else stage.squeeze_excite.trace(x, tape)


def _scaled(stage: Stage, x: Map, tape: Tape) -> Map:
    return x if stage.layer_scale is None else tape.scale(x)
