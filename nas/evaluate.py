"""Architecture in, objective values out: the only place where module, trainer and objectives meet. Runs in a worker.

A trial is measured (images per second), refused if that breaks a limit, trained, and ends with one final record. Nothing
that happens to one architecture ends a worker: whatever it raises is the trial's failure, in words.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from nas.setting import Setting
from nas.trial_files import CHECKPOINT, WEIGHTS
from search_space import Architecture
from search_space.network import Network, build
from trainers import checkpoint, throughput
from trainers.data import Dataset, load
from trainers.proxy import ProxyTraining


@dataclass
class Evaluator:
    """A worker's life: data loaded once, then trial after trial through `run`."""

    setting: Setting
    data: Dataset = field(init=False)

    def __post_init__(self) -> None:
        self.data = load(self.setting.data_file, self.setting.device)

    def run(
        self,
        architecture: str,
        seed: int,
        folder: Path,
        until: int | None = None,
        before: Mapping[str, Any] = MappingProxyType({}),
    ) -> Iterator[dict[str, Any]]:
        """Evaluate the `architecture` (JSON) in `folder`: an `{"epoch": ...}` after each epoch, at the end one record.

        The last record has `"final": True` and either the attributes and measured values of the trial, or `refused`, or
        `failure`. A trial that was cut off goes on from its checkpoint.

        Args:
            architecture: as JSON.
            seed: of its training.
            folder: of its files.
            until: pause after this epoch, the record then has `"paused"`; None: train to the end.
            before: the record of an earlier leg of this training: what it measured is not measured again.
        """
        start = time.perf_counter()
        try:
            yield from self._run(Architecture.from_json(architecture), seed, folder, start, until, before)
        except Exception as error:  # whatever it is, it is this trial's own
            yield {"final": True, "failure": reason(error), "wall_s": time.perf_counter() - start, "seed": seed}
        finally:
            if self.setting.device != "cpu":
                torch.cuda.empty_cache()

    def _run(
        self,
        architecture: Architecture,
        seed: int,
        folder: Path,
        start: float,
        until: int | None,
        before: Mapping[str, Any],
    ) -> Iterator[dict[str, Any]]:
        setting = self.setting
        network = self.initial(architecture, seed)
        record: dict[str, Any] = {"final": True, "seed": seed, **(before or self._speed(architecture, network))}
        if setting.min_images_per_s is not None and record["images_per_s"] < setting.min_images_per_s:
            yield record | {
                "refused": f"limit images_per_s: {record['images_per_s']:.0f} < {setting.min_images_per_s:g}"
            }
            return
        training = ProxyTraining(network, self.data, setting.train, seed=seed, checkpoint=folder / CHECKPOINT)
        new_s = 0.0
        last = time.perf_counter()
        for epoch in training.epochs():
            now = time.perf_counter()
            # An epoch taken over from the checkpoint comes at once; its seconds were spent in an earlier life.
            new_s += epoch.wall_s if now - last >= epoch.wall_s else 0.0
            yield {"epoch": epoch.epoch, "val_accuracy": epoch.val_accuracy}
            last = time.perf_counter()
            if epoch.epoch == until and until < setting.train.epochs:
                record["paused"] = until
                break
        else:
            checkpoint.save_weights(folder / WEIGHTS, network, {"architecture": architecture.to_json()})
        history = training.history[:until]
        overhead_s = before.get("overhead_s", 0.0) + (time.perf_counter() - start - new_s)
        yield record | {
            "accuracy": history[-1].val_accuracy,
            "curve": [epoch.to_dict() for epoch in history],
            "train_s": sum(epoch.train_s for epoch in history),
            "overhead_s": overhead_s,
            "wall_s": sum(epoch.wall_s for epoch in history) + overhead_s,
        }

    def _speed(self, architecture: Architecture, network: Network) -> dict[str, Any]:
        """The attributes of the throughput that was measured of `network`."""
        speed = throughput.measure(
            network,
            (architecture.in_chans, *architecture.image_size),
            device=torch.device(self.setting.device),
            batch_size=self.setting.batch_size,
            min_time_s=self.setting.min_time_s,
        )
        return {
            "device": speed.device,
            "images_per_s": speed.images_per_s,
            "images_per_s_quartiles": [speed.low, speed.high],
        }

    def initial(self, architecture: Architecture, seed: int) -> Network:
        """The network with the initial weights of `seed`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build(architecture)


def reason(error: BaseException) -> str:
    """What failed, in one line."""
    text = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text}"[:400] if text else type(error).__name__


def trained_network(architecture: Mapping[str, Any], folder: Path) -> Network:
    """The trained network of a finished trial in `folder`, in evaluation mode.

    Raises:
        FileNotFoundError: its weights are gone.
    """
    network = build(Architecture.from_dict(dict(architecture)))
    network.load_state_dict(checkpoint.load_weights(folder / WEIGHTS))
    return network.eval()
