"""The head: from the last feature map to the classes."""

from __future__ import annotations

from typing import Any, Literal

from search_space.norm import Norm
from search_space.tape import FeatureMap, Tape
from search_space.value import Value


class HeadSpec(Value):
    """Global average pooling and a linear layer, with a norm before the pooling, after it, or without a norm.

    Args:
        norm: "before" or "after" the pooling, or None.
        kind: of the norm; None: that of the last stage.
    """

    norm: Literal["before", "after"] | None = "before"
    kind: Norm | None = None

    def canonical_changes(self) -> dict[str, Any]:
        """Without a norm there is no kind of it."""
        return {"kind": None} if self.norm is None and self.kind is not None else {}

    def trace(self, x: FeatureMap, tape: Tape, num_classes: int, last: Norm) -> None:
        """Record the cost of classifying `x` on `tape`, after a last stage with norms of the kind `last`."""
        kind = self.kind or last
        if self.norm == "before":
            x = tape.norm(kind, x)
        pooled = FeatureMap(x.width, (1, 1))
        if self.norm == "after":
            pooled = tape.norm(kind, pooled)
        tape.save(pooled)
        tape.linear(x.width, num_classes)
