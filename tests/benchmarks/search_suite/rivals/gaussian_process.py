"""BoTorch: a Gaussian process for each trained objective, exact costs, and the logarithm of noisy expected improvement."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from search_suite.rivals.rows import Data, RowSampler
from search_suite.space import Floats

SAMPLES = 64
CHUNK = 256
LOCAL_ROUNDS = 2
"""Rounds in which the neighbours of the best candidate are scored, too."""


class BotorchSampler(RowSampler):
    """The acquisition function is evaluated at all points of a small space, else at candidates and around the best of them.

    A model sees the encoded choices and the costs; the costs are objectives by a `GenericDeterministicModel`.
    """

    def choose(self, data: Data, candidates: Floats) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            acquisition = self._acquisition(data)
            scores = self._score(acquisition, candidates)
            best = int(scores.argmax())
            self._found: Floats | None = None
            if self.space.product > len(candidates) + len(data.tried):
                self._climb(acquisition, data, candidates[best], float(scores[best]))
        return best

    def _climb(self, acquisition: Any, data: Data, row: Floats, score: float) -> None:
        """Move to the best neighbour as long as it is better; keeps where that ended."""
        for _ in range(LOCAL_ROUNDS):
            neighbours = self._new(self.space.neighbours(row[None], self.rng), data)
            if not len(neighbours):
                return
            scores = self._score(acquisition, neighbours)
            if scores.max() <= score:
                return
            row, score = neighbours[scores.argmax()], float(scores.max())
            self._found = row

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        self._found = None
        params = super().sample_relative(study, trial, search_space)
        return params if self._found is None else self.space.params(self._found)

    def _inputs(self, rows: Floats) -> Floats:
        """Encoded choices and the losses of cheap objectives, scaled by those of random points."""
        if not hasattr(self, "_scale"):
            costs = self.cost_losses(self.space.sample(self.rng, 200))
            self._cheap = [i for i, item in enumerate(self.context.objectives) if item.compute is not None]
            known = costs[:, self._cheap]
            self._scale = known.mean(axis=0), np.where(known.std(axis=0) > 0, known.std(axis=0), 1.0)
        mean, spread = self._scale
        return np.concatenate([self.encode(rows), (self.cost_losses(rows)[:, self._cheap] - mean) / spread], axis=1)

    def _acquisition(self, data: Data) -> Any:
        import torch
        from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import ModelList, SingleTaskGP
        from botorch.models.deterministic import GenericDeterministicModel
        from botorch.sampling.get_sampler import get_sampler
        from botorch.utils.multi_objective.hypervolume import infer_reference_point
        from botorch.utils.multi_objective.pareto import is_non_dominated
        from gpytorch.mlls import ExactMarginalLogLikelihood

        torch.manual_seed(int(self.rng.integers(2**31)))
        inputs = torch.tensor(self._inputs(data.rows))
        mean, spread = self._scale
        models: list[Any] = []
        gains = -data.losses.copy()
        for i, item in enumerate(self.context.objectives):
            if item.compute is not None:
                column = self._cheap.index(i)
                gains[:, i] = -(data.losses[:, i] - mean[column]) / spread[column]
                index = inputs.shape[1] - len(self._cheap) + column
                models.append(
                    GenericDeterministicModel(lambda X, index=index: -X[..., index : index + 1], num_outputs=1)
                )
                continue
            gp = SingleTaskGP(inputs, torch.tensor(gains[:, i : i + 1]))
            fit_gpytorch_mll(
                ExactMarginalLogLikelihood(gp.likelihood, gp), optimizer_kwargs={"options": {"maxiter": 75}}
            )
            models.append(gp)
        values = torch.tensor(gains)
        reference = infer_reference_point(values[is_non_dominated(values)], scale=0.1)
        pending = torch.tensor(self._inputs(data.pending)) if len(data.pending) else None
        model = ModelList(*models)
        return qLogNoisyExpectedHypervolumeImprovement(
            model,
            reference.tolist(),
            inputs,
            sampler=get_sampler(model.posterior(inputs[:1]), torch.Size([SAMPLES]), seed=len(data.rows)),
            X_pending=pending,
            prune_baseline=True,
            cache_root=False,
        )

    def _score(self, acquisition: Any, rows: Floats) -> Floats:
        import torch

        inputs = torch.tensor(self._inputs(rows)).unsqueeze(1)
        with torch.no_grad():
            return np.concatenate([acquisition(chunk).numpy() for chunk in inputs.split(CHUNK)])
