"""The registry of portable forms: what replaces the modules of a class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

PortableForm = Callable[[Any, int, tuple[int, int]], nn.Module]
"""Makes a replacement from a module, the number of its channels and the (height, width) of its maps."""

R = TypeVar("R", bound=PortableForm)

_PORTABLE_FORMS: dict[type[nn.Module], PortableForm] = {}


def replaces(module_class: type[nn.Module]) -> Callable[[R], R]:
    """Decorator of what makes the portable form of modules of `module_class`; subclasses need their own.

    Raises:
        ValueError: the class already has a portable form.
    """

    def register(portable_form: R) -> R:
        if module_class in _PORTABLE_FORMS:
            raise ValueError(f"a portable form of {module_class.__name__} already exists")
        _PORTABLE_FORMS[module_class] = portable_form
        return portable_form

    return register


def unregister_portable_form(module_class: type[nn.Module]) -> None:
    """Remove the portable form of `module_class`."""
    del _PORTABLE_FORMS[module_class]


def portable_form_of(module_class: type[nn.Module]) -> PortableForm | None:
    """What makes the portable form of modules of `module_class`; None where they are portable as they are."""
    return _PORTABLE_FORMS.get(module_class)
