"""Architecture in, objective values out: the only place where module, trainer and objectives meet. Runs in a worker.

A trial is measured, refused if that breaks a limit, trained, and ends with one final record. Nothing
that happens to one architecture ends a worker: whatever it raises is the trial's failure, in words.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from nas.errors import reason
from nas.evaluation.measurer import Measurer
from nas.evaluation.settings import Setting
from nas.study.layout import CHECKPOINT, WEIGHTS
from search_space import Architecture
from search_space.modules.network import Network, build
from trainers.data.dataset import load
from trainers.device_lock import DeviceLock
from trainers.training import checkpoint, compilation
from trainers.training.loop import ProxyTraining


class Evaluator:
    """A worker's life: data loaded once, then trial after trial, each a `run`.

    Args:
        setting: what all trials share.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        if 0 < setting.gpus < 1:  # who shares a GPU runs out of its own memory, whatever the others hold
            torch.cuda.set_per_process_memory_fraction(setting.gpus)
        compilation.check_compiler(setting.train.compile, setting.device)
        self.data = load(setting.data_file, setting.device, setting.gpus / 2)
        self.device_lock = DeviceLock(setting.device)
        self.measurer = Measurer(setting.measuring, setting.device, self.device_lock)
        self._free_since: float | None = None  # the end of the last trial

    def run(
        self,
        architecture: str,
        seed: int,
        folder: Path,
        until: int | None = None,
        before: Mapping[str, Any] = MappingProxyType({}),
    ) -> dict[str, Any]:
        """Evaluate the `architecture` in `folder`; the record has the attributes and measured values of the trial, or why there
        are none, `refused` or `failure`.

        A trial that was cut off goes on from its checkpoint; one that had come to its end is not trained again.

        Args:
            architecture: as JSON.
            seed: of its training.
            folder: of its files.
            until: pause after this epoch, the record then has `"paused"`; None: train to the end.
            before: the record of an earlier leg of this training: what it measured is not measured again.
        """
        start = time.perf_counter()
        idle_s = before.get("idle_s", 0.0) + (0.0 if self._free_since is None else start - self._free_since)
        try:
            record = self._run(Architecture.from_json(architecture), seed, folder, start, until, before)
        except Exception as error:  # whatever it is, it is this trial's own
            record = {"failure": reason(error), "wall_s": time.perf_counter() - start, "seed": seed}
        if self.setting.device != "cpu":
            torch.cuda.empty_cache()
        self._free_since = time.perf_counter()
        return {**record, "idle_s": idle_s}

    def _run(
        self,
        architecture: Architecture,
        seed: int,
        folder: Path,
        start: float,
        until: int | None,
        before: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The record, but for `idle_s`."""
        setting = self.setting
        network = initial(architecture, seed)
        finished = self._finished(architecture, network, seed, folder)
        if finished is not None:
            return finished
        record = {"seed": seed, **self._measured(architecture, network, before)}
        if "refused" in record:
            return record
        training = ProxyTraining(
            network,
            self.data,
            setting.train,
            seed=seed,
            checkpoint=folder / CHECKPOINT,
            milestones=() if until is None else (until,),
            device_lock=self.device_lock,
        )
        new_s = 0.0
        last = time.perf_counter()
        for epoch in training.epochs():
            now = time.perf_counter()
            # An epoch taken over from the checkpoint comes at once; its seconds were spent in an earlier life.
            new_s += epoch.wall_s if now - last >= epoch.wall_s else 0.0
            last = now
            if epoch.epoch == until and until < setting.train.epochs:
                record["paused"] = until
                break
        history = training.history[:until]

        def ended() -> dict[str, Any]:
            overhead_s = before.get("overhead_s", 0.0) + (time.perf_counter() - start - new_s)
            return record | {
                "accuracy": history[-1].val_accuracy,
                "curve": [epoch.to_dict() for epoch in history],
                "train_s": sum(epoch.train_s for epoch in history),
                "overhead_s": overhead_s,
                "wall_s": sum(epoch.wall_s for epoch in history) + overhead_s,
            }

        if "paused" not in record:
            about = {
                "architecture": architecture.to_json(),
                "training": training.identity,
                "record": json.dumps(ended()),
            }
            checkpoint.save_weights(folder / WEIGHTS, training.model, about)
        return ended()

    def _measured(self, architecture: Architecture, network: Network, before: Mapping[str, Any]) -> dict[str, Any]:
        """What is measured of the network, unless an earlier leg of its training has it; with `refused` if a limit is broken."""
        names = self.setting.measuring.names
        if all(name in before for name in names):
            found, values = {}, {name: before[name] for name in names}
        else:
            found = values = self.measurer(network, (architecture.in_chans, *architecture.image_size))
        refused = self.measurer.broken_limit(values)
        return found if refused is None else found | {"refused": refused}

    def _finished(self, architecture: Architecture, network: Network, seed: int, folder: Path) -> dict[str, Any] | None:
        """The record of this very training if it came to its end here, and the driver died before it was told."""
        about = checkpoint.load_metadata(folder / WEIGHTS)
        if about.get("architecture") != architecture.to_json():
            return None
        if about.get("training") != checkpoint.training_identity(network, self.data, self.setting.train, seed):
            return None
        record: dict[str, Any] = json.loads(about["record"])
        return record


def initial(architecture: Architecture, seed: int) -> Network:
    """The network with the initial weights of `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(architecture)


def trained_network(architecture: Mapping[str, Any], folder: Path) -> Network:
    """The trained network of a finished trial in `folder`, in evaluation mode.

    Raises:
        FileNotFoundError: its weights are gone.
    """
    network = build(Architecture.from_dict(dict(architecture)))
    network.load_state_dict(checkpoint.load_weights(folder / WEIGHTS))
    return network.eval()
