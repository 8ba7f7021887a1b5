"""What a fault is, and the registry of all faults (`faults.py`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from study import TRAININGS, StudySetup, StudyUnderTest

EXECUTORS = ("local", "ray_tune")
DATABASES = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Injection:
    """A fault that was injected.

    Args:
        detail: what was hit.
        at: the moment from which the time to the next step counts: the kill, or the end of an outage (`time.monotonic`).
        pids: processes that were killed or stopped.
        trials: the trials that these processes trained.
    """

    detail: str
    at: float
    pids: frozenset[int] = frozenset()
    trials: frozenset[int] = frozenset()


Inject = Callable[[StudyUnderTest, Random], Injection | None]


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Args:
        name: its name.
        inject: injects it; returns None if there is nothing to hit now.
        executors: executors for which it exists.
        trainings: names of trainings (`study.TRAININGS`) in which there is something to hit.
        databases: databases for which it exists.
        needs_nodes: number of nodes that a cluster must have; 0: Ray is the search's own, if there is one.
        needs_drivers: number of drivers that the study must have.
        needs_disk: True if the folder of the study must be on a small disk of its own.
        chooses_moment: True if it waits for its moment itself.
    """

    name: str
    inject: Inject
    executors: tuple[str, ...] = EXECUTORS
    trainings: tuple[str, ...] = tuple(TRAININGS)
    databases: tuple[str, ...] = DATABASES
    needs_nodes: int = 0
    needs_drivers: int = 1
    needs_disk: bool = False
    chooses_moment: bool = False


FAULTS: dict[str, Fault] = {}


def fault(
    name: str,
    executors: tuple[str, ...] = EXECUTORS,
    trainings: tuple[str, ...] = tuple(TRAININGS),
    databases: tuple[str, ...] = DATABASES,
    needs_nodes: int = 0,
    needs_drivers: int = 1,
    needs_disk: bool = False,
    chooses_moment: bool = False,
) -> Callable[[Inject], Inject]:
    """Register a function as the fault `name`; the arguments are those of `Fault`.

    Raises:
        ValueError: there is a fault of this name.
    """

    def register(inject: Inject) -> Inject:
        if name in FAULTS:
            raise ValueError(f"fault {name} already exists")
        FAULTS[name] = Fault(
            name, inject, executors, trainings, databases, needs_nodes, needs_drivers, needs_disk, chooses_moment
        )
        return inject

    return register


def exists(fault: Fault, setup: StudySetup) -> bool:
    """True if there is such a fault in a study with this `setup`."""
    fits = setup.executor in fault.executors and setup.database in fault.databases
    fits = fits and fault.needs_drivers <= setup.drivers
    return fits and (fault.needs_nodes <= setup.nodes if setup.nodes else fault.needs_nodes == 0)
