"""Macro F1 on the validation split at the end of training: the mean F1 score of its classes, 0 to 1.

The F1 score of a class is the harmonic mean of its recall and its precision, so images of other classes that are taken for
it count too. It is `f1_score(average="macro")` of scikit-learn.
"""

from nas.objectives.base import Objective, register

MACRO_F1 = register(
    Objective(
        name="macro_f1",
        label="validation macro F1",
        unit="",
        direction="maximize",
        log=False,
        source="trained",
        value=lambda trained: trained.confusion.macro_f1,
        is_goal=True,
    )
)
