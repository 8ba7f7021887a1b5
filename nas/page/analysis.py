"""What the page shows of a study that takes a while to compute: a server computes it in the background."""

from __future__ import annotations

from typing import Any

from nas.analysis.columns import StudyColumns
from nas.analysis.health import health
from nas.analysis.importance import importance
from nas.analysis.prediction_quality import predicted_values
from nas.analysis.remarks import missing_lines, warning_lines
from nas.analysis.results import Results
from nas.page.arrays import encode
from nas.page.expected import plain_expected
from nas.page.space_values import space_values


def analysis(results: Results, columns: StudyColumns) -> dict[str, Any]:
    """Plain JSON, of two views on the same moment of a study.

    Keys:

        health         `nas.analysis.finding.Finding`, in the order of `nas.analysis.health`
        importance     {objective: `nas.analysis.importance.Importance`}
        predictions    {objective: {"trial", "predicted", "measured"}}, arrays: what the operator table predicts
        warnings       what a reader has to know before trusting the numbers, a sentence each
        missing        what cannot be shown because files are missing, a sentence each
        expected       the front that a model expects, and the values (`nas.page.expected.plain_expected`), or null
        space_values   {parameter: [text, ...]}: the values that it can take, by the key of its column; null if not known
    """
    important = importance(results, columns.parameter_codes())
    return {
        "health": [finding.to_dict() for finding in health(results)],
        "importance": {entry.objective: entry.to_dict() for entry in important},
        "predictions": {
            name: {
                "trial": encode(values.trials, "i4"),
                "predicted": encode(values.predicted, "f8"),
                "measured": encode(values.measured, "f8"),
            }
            for name, values in predicted_values(results).items()
        },
        "warnings": warning_lines(results),
        "missing": missing_lines(results),
        "expected": plain_expected(results),
        "space_values": space_values(results.config.get("space") or {}),
    }
