"""The health of a study: is the search still improving, can its numbers be trusted, is time wasted?

`health` returns one `Finding` per question, in the order of cards on a page. It is quick at 10,000 trials: what costs time per
architecture or per pair of trials is computed on the latest ones. It needs neither curves nor the architectures of old trials;
a question that the data do not answer is "unknown", and says what would answer it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nas.analysis.finding import Finding
from nas.analysis.health_data import baseline_finding, images_finding
from nas.analysis.health_models import (
    prediction_findings,
    proxy_finding,
    rung_findings,
    sampler_finding,
)
from nas.analysis.health_noise import noise_finding
from nas.analysis.health_search import (
    failed_finding,
    idle_finding,
    interrupted_finding,
    progress_finding,
    refused_finding,
)
from nas.analysis.results import Results

__all__ = ["Finding", "health"]

_CHECKS: tuple[Callable[[Results], Finding | Iterator[Finding]], ...] = (
    progress_finding,
    baseline_finding,
    noise_finding,
    proxy_finding,
    rung_findings,
    sampler_finding,
    prediction_findings,
    failed_finding,
    refused_finding,
    interrupted_finding,
    idle_finding,
    images_finding,
)


def health(results: Results) -> list[Finding]:
    """The findings about a study. Those on rungs and on predicted objectives are left out where a study has none."""
    findings: list[Finding] = []
    for check in _CHECKS:
        outcome = check(results)
        findings += [outcome] if isinstance(outcome, Finding) else list(outcome)
    return findings
