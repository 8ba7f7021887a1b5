"""The norms: named, or a name with an eps of its own.

    norm: layer                          # eps 1e-6
    norm: {name: layer, eps: 1.0e-5}     # Swin's

The three norms, each with a learned scale and shift of each channel:

- "batch": over the batch and the positions; eps 1e-5, momentum 0.1, torch's defaults, which every published network of
  `presets.py` with batch norms has;
- "layer": over the channels of each position; eps 1e-6, as in the code of ViT, MLP-Mixer, GFNet and AFNO;
- "group": over channels and positions, that is one group; eps 1e-5, as in the code of PoolFormer, ShiftViT and AS-MLP.

A norm with the eps of its kind is its name: descriptions, and so ids, have an eps only where it differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetPydanticSchema
from pydantic_core import CoreSchema, core_schema

from search_space.field_types import NormName
from search_space.value import Value

DEFAULT_EPS: Mapping[NormName, float] = {"batch": 1e-5, "layer": 1e-6, "group": 1e-5}


class NormSpec(Value):
    """A norm with an eps that may differ from that of its kind.

    Args:
        name: "batch", "layer" (over channels) or "group" (one group over channels and positions).
        eps: what is added to the variance; None: that of `DEFAULT_EPS`.
    """

    name: NormName
    eps: Annotated[float, Field(gt=0)] | None = None

    def canonical_changes(self) -> dict[str, Any]:
        """The eps of the kind is None."""
        return {"eps": None} if self.eps == DEFAULT_EPS[self.name] else {}

    def __str__(self) -> str:
        return self.name if self.eps is None else f"{self.name} (eps {self.eps:g})"


def _canonical(given: object, check_name: core_schema.ValidatorFunctionWrapHandler) -> object:
    """A norm from its name, from a mapping or from a `NormSpec`: the name alone where the eps is that of its kind."""
    if isinstance(given, Mapping):
        given = NormSpec(**given)
    if isinstance(given, NormSpec):
        return given.name if given.eps is None else given
    return check_name(given)


def _plain(norm: object) -> object:
    return norm.model_dump() if isinstance(norm, NormSpec) else norm


def _schema(source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
    """That of a name, so that a misspelt name is reported as such, before which a mapping becomes a `NormSpec`."""
    return core_schema.no_info_wrap_validator_function(
        _canonical,
        handler(NormName),
        serialization=core_schema.plain_serializer_function_ser_schema(_plain),
    )


Norm = Annotated[NormName | NormSpec, GetPydanticSchema(_schema)]


def norm_name(norm: Norm) -> NormName:
    """The kind of `norm`."""
    return norm.name if isinstance(norm, NormSpec) else norm


def norm_eps(norm: Norm) -> float:
    """What `norm` adds to the variance."""
    own = norm.eps if isinstance(norm, NormSpec) else None
    return DEFAULT_EPS[norm_name(norm)] if own is None else own
