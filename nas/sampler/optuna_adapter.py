"""The parts of Optuna that samplers need and that Optuna does not document, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """True if `value` is a value of `distribution`.

    Optuna has no public test of that: `BaseDistribution._contains` takes the internal representation.
    """
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except ValueError:  # not one of the categories
        return False


def enqueued_params(trial: FrozenTrial) -> Mapping[str, Any]:
    """The parameters with which `trial` was enqueued; empty if it was not.

    `Study.enqueue_trial` keeps them in the system attribute "fixed_params", a key that Optuna does not document. Until the
    trial runs they are not among its `params`.
    """
    params: Mapping[str, Any] = trial.system_attrs.get("fixed_params", {})
    return params
