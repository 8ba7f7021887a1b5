"""The channel mixers, found by name; every module of this package registers its own."""

import importlib
import pkgutil

from search_space.channel_mixers.base import CHANNEL_MIXERS, ChannelMixerSpec

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["CHANNEL_MIXERS", "ChannelMixerSpec"]
