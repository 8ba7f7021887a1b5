"""What it means that a trial lost its worker, its node or the cluster: it is run again, or it is over.

| lost | run again | then |
|---|---|---|
| the worker died, crashed or made no progress | once | its architecture or the machine is at fault (`nas.driver.suspects`) |
| the node or the cluster | three times | the trial fails |

Only losses between which the trial made no progress count, in all drivers that have run the trial. If a worker was lost twice in
the same way, the architecture counts as infeasible.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nas.driver.state import SearchState
from nas.execution.base import Loss
from nas.execution.losses import MAX_RETRIES
from nas.study.outcomes.failure_kinds import NO_PROGRESS, kind_of
from nas.study.outcomes.losses import LOSSES, TrialLoss, in_a_row, losses_of
from nas.study.outcomes.records import Failed, MachineFailure
from nas.study.outcomes.stacks import Stacks, take_stacks


class TrialLosses:
    """Decides what the losses of open trials mean.

    Args:
        state: the state of the search.
        folder_of: maps the number of a trial to the folder of its files.
        mark_of: maps it to a text that changes whenever its checkpoint does (`TrialLoss.checkpoint`).
    """

    def __init__(
        self, state: SearchState, folder_of: Callable[[int], Path], mark_of: Callable[[int], str | None]
    ) -> None:
        self.state = state
        self.folder_of = folder_of
        self.mark_of = mark_of

    def add(self, number: int, loss: Loss) -> tuple[list[TrialLoss], Failed | MachineFailure | None]:
        """Take in a `loss` of the open trial `number`.

        Returns:
            All losses of the trial, to be written; and the outcome if the trial is not to be run again.
        """
        trial = self.state.open.get(number)
        if trial is None:  # another driver has adopted it
            return [], MachineFailure(loss.reason, is_certain=False)
        folder = self.folder_of(number)
        stacks = take_stacks(folder) if loss.kind == "worker" else None
        new = TrialLoss(time.time(), loss.kind, _describe(loss, stacks), self.mark_of(number))
        losses = [*losses_of(trial.user_attrs), new]
        trial.user_attrs[LOSSES] = [each.to_dict() for each in losses]  # until the caller writes them
        row = in_a_row(losses)
        if len(row) <= MAX_RETRIES[loss.kind]:
            return losses, None
        if new.is_of_worker:
            kinds = {kind_of(each.reason) for each in row[-2:]}
            infeasible = kinds.pop() if len(kinds) == 1 else None
            return losses, MachineFailure(
                new.reason, False, "" if stacks is None else stacks.text, infeasible=infeasible
            )
        reasons = "; ".join(each.reason for each in row)
        return losses, Failed(f"lost {len(row)} times without progress: {reasons}")


def excuse(loss: Loss) -> Loss:
    """The `loss` of a worker whose machine had stopped: the trial is not at fault."""
    if loss.kind != "worker":
        return loss
    return replace(loss, kind="node", reason=f"{loss.reason}, after the machine had stopped")


def _describe(loss: Loss, stacks: Stacks | None) -> str:
    if stacks is None:
        return loss.reason
    place = "" if stacks.place is None else f", in {stacks.place}"
    if not stacks.is_hang:
        return f"{loss.reason}{place}"
    silence = re.search(r"\((.*?)\)", stacks.text)
    return f"{NO_PROGRESS}{'' if silence is None else f' for {silence[1]}'}{place}"
