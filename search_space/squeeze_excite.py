"""Squeeze-and-excitation: a gate after the channel mixer. The module is in `modules/squeeze_excite.py`."""

from __future__ import annotations

from search_space.field_types import Positive
from search_space.tape import FeatureMap, Tape
from search_space.value import Value


class SqueezeExciteSpec(Value):
    """A gate on each channel from the means of all (Hu et al., CVPR 2018): `x * sigmoid(W2 relu(W1 mean(x)))`.

    Args:
        reduction: channels over those between W1 and W2.
    """

    reduction: Positive = 16

    def hidden(self, width: int) -> int:
        """Channels between W1 and W2, at least 1."""
        return max(1, width // self.reduction)

    def trace(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        """Record the cost of the gate of `x` on `tape`; returns the output."""
        tape.save(x)
        hidden = tape.act("relu", tape.conv(FeatureMap(x.width, (1, 1)), self.hidden(x.width)))
        tape.conv(hidden, x.width)
        tape.add(saved=x.width)  # the gate
        return x.like()
