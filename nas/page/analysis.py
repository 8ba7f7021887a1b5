"""What the page shows of a study that takes a while to compute: a server computes it in the background."""

from __future__ import annotations

from typing import Any

from nas.analysis.prediction_quality import predicted_values
from nas.analysis.results import Results
from nas.page.arrays import encode
from nas.page.space_values import space_values


def analysis(results: Results) -> dict[str, Any]:
    """Plain JSON.

    Keys:

        predictions    {objective: {"trial", "predicted", "measured"}}, arrays: what the operator table predicts
        space_values   {parameter: [text, ...]}: the values that it can take, by the key of its column; null if not known
    """
    return {
        "predictions": {
            name: {
                "trial": encode(values.trials, "i4"),
                "predicted": encode(values.predicted, "f8"),
                "measured": encode(values.measured, "f8"),
            }
            for name, values in predicted_values(results).items()
        },
        "space_values": space_values(results.config.get("space") or {}),
    }
