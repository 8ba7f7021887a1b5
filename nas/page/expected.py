"""What a model expects of the trials of a study, for the page."""

from __future__ import annotations

import logging
from typing import Any

from nas.analysis.expected_front import expected_front
from nas.analysis.results import Results
from nas.errors import reason
from nas.page.arrays import encode
from nas.study.layout import CONFIG

logger = logging.getLogger(__name__)


def plain_expected(results: Results) -> dict[str, Any] | None:
    """The expected front and the expected values of the objective that networks are trained for, as plain JSON.

    Keys:

        objective            its name
        trials               the number of complete trials that the model knew
        front                numbers of the trials on the front that is expected
        trial, value, low, high   trials, what is expected of each, and the ends of the central interval (arrays)

    None where there are too few results for a model, where the folder has no configuration, and where that is one of another
    version; the log has the reason.
    """
    if not (results.folder / CONFIG).is_file():
        return None
    try:
        expected = expected_front(results)
    except Exception as error:  # of a damaged study: the page shows all else
        logger.warning("%s: no expected front: %s", results.folder, reason(error))
        return None
    if not expected.values:
        return None
    numbers = sorted(expected.values)
    values = [expected.values[number] for number in numbers]
    return {
        "objective": expected.objective,
        "trials": len(results.complete),
        "front": encode(expected.front, "i4"),
        "trial": encode(numbers, "i4"),
        "value": encode([value.median for value in values], "f8"),
        "low": encode([value.low for value in values], "f8"),
        "high": encode([value.high for value in values], "f8"),
    }
