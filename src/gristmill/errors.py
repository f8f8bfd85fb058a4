"""What can go wrong, on one screen; every error says what, where, and what to write instead.

```
GristmillError            .fix: what to do next · .exit_code: what the shell sees
├── InputError       2    the user's input: recipe, data, flags
│   ├── NoSandbox         no walls hold here that the person accepts
│   ├── RecipeError       carries file, line and column
│   └── SourceError       a data file that cannot be read at all
├── NothingAccepted  5    every sample was tried and none passed
├── Stopped          6    an outside reason; run again to go on
│   ├── BudgetReached 4   the budget does not allow the next call
│   ├── TeacherDown       the teacher refuses or every call fails
│   ├── LedgerError       disk full, page damaged, locked, newer version, network disk
│   └── GradingStopped    too many samples could not be graded
└── BrokenPromise    1    a bug of ours: conservation or identity did not hold
```

A failure of one row is data, never an exception here: it becomes a row with a reason. These errors end a command.
"""

from __future__ import annotations


class GristmillError(Exception):
    """An error that a person reads as one message and one fix, without a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class InputError(GristmillError):
    """The user's input cannot be used as it is."""

    exit_code = 2


class NoSandbox(InputError):
    """Code of models is to run, and no walls hold here that the person accepts."""


class RecipeError(InputError):
    """A recipe that cannot be used, with the place that is to be changed."""

    def __init__(self, message: str, *, fix: str = "", where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message, fix=fix)
        self.where = where


class SourceError(InputError):
    """A data file that cannot be read as declared."""


class NothingAccepted(GristmillError):
    """Every sample was tried and none passed its graders."""

    exit_code = 5


class Stopped(GristmillError):
    """An outside reason stopped the run; what was recorded stays, and running again goes on."""

    exit_code = 6


class GateFailed(GristmillError):
    """Something that must hold before data is made or used does not."""

    exit_code = 3


class BudgetReached(Stopped):
    """The budget does not allow the next call; what was recorded stays, and a higher budget goes on."""

    exit_code = 4


class TeacherDown(Stopped):
    """The teacher cannot be used: a permanent refusal, or every call fails."""


class LedgerError(Stopped):
    """The ledger cannot be written or read."""


class GradingStopped(Stopped):
    """Too many of the last samples could not be graded."""


class Diverging(Stopped):
    """Tasks asked for other content on replay than what they asked for before."""


class BrokenPromise(GristmillError):
    """A promise of gristmill's own did not hold; a bug."""

    exit_code = 1
