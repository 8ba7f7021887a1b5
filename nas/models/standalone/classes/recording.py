"""With which arguments each module of a network was constructed.

A module does not keep the arguments of its constructor. They are read where they pass by: while the network is built again,
a profile function sees each call of an `__init__`. Nothing of the classes is changed. It has a thread of its
own, so that it is in nobody's way who profiles.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Construction:
    """One call of a constructor.

    Args:
        module: the module that was constructed; kept, so that its `id` stays its own.
        arguments: name of a parameter -> its value when the constructor began, defaults included; without `self`.
        variadic: whether further positional or keyword arguments were given.
    """

    module: nn.Module
    arguments: Mapping[str, Any]
    variadic: bool


def record_constructions(build: Callable[[], M]) -> tuple[M, dict[int, Construction]]:
    """What `build` returns, and how each module that it constructed was constructed, by the `id` of the module.

    Random numbers of the caller are the same afterwards.
    """
    constructions: dict[int, Construction] = {}

    def profile(frame: FrameType, event: str, argument: object) -> None:
        if event != "call" or frame.f_code.co_name != "__init__" or not frame.f_code.co_argcount:
            return
        values = inspect.getargvalues(frame)
        module = values.locals[values.args[0]]
        if (
            isinstance(module, nn.Module) and id(module) not in constructions
        ):  # the outermost constructor is called first
            names = [*values.args[1:], *_keyword_only(frame)]
            rest = [values.locals[name] for name in (values.varargs, values.keywords) if name]
            arguments = {name: values.locals[name] for name in names}
            constructions[id(module)] = Construction(module, arguments, any(rest))

    def build_in_profile() -> M:
        sys.setprofile(profile)
        try:
            return build()
        finally:
            sys.setprofile(None)

    with torch.random.fork_rng(devices=[]), ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(build_in_profile).result(), constructions


def _keyword_only(frame: FrameType) -> tuple[str, ...]:
    code = frame.f_code
    return code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
