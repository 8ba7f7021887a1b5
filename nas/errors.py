"""The exceptions of a study, and the exit code that each one ends the command with.

StudyError               something about a study cannot go on: exit code 1
├── UsageError           wrong use: a folder that holds no study, an unknown trial: exit code 2
│   └── ConfigError      a configuration that breaks a rule; names file:line:col or the flag: exit code 2
└── NothingFeasibleError the search ended and nothing satisfies its limits: exit code 3
"""

from __future__ import annotations


class StudyError(Exception):
    """Something about a study cannot go on; the text says what and what to do."""

    exit_code = 1


class UsageError(StudyError):
    """The command was used wrongly."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration breaks a rule.

    Args:
        where: `FILE:LINE:COL`, or the command-line word to blame.
        message: the key, the rule and the value.
    """

    def __init__(self, where: str, message: str) -> None:
        self.where = where
        self.message = message
        super().__init__(where, message)

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class NothingFeasibleError(StudyError):
    """The search ended and no trial satisfies its limits."""

    exit_code = 3


def reason(error: BaseException) -> str:
    """What failed, in one line."""
    text = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text}"[:400] if text else type(error).__name__
