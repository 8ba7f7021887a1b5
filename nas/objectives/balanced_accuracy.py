"""Balanced accuracy on the validation split at the end of training: the mean recall of its classes, 0 to 1.

Every class counts the same, however few images it has; always answering one of K classes gives 1 / K. It is
`balanced_accuracy_score` of scikit-learn.
"""

from nas.objectives.base import Objective, register

BALANCED_ACCURACY = register(
    Objective(
        name="balanced_accuracy",
        label="validation balanced accuracy",
        unit="",
        direction="maximize",
        log=False,
        source="trained",
        value=lambda trained: trained.confusion.balanced_accuracy,
        is_goal=True,
    )
)
