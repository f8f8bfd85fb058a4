"""A text that repeats itself for good, noticed while it streams.

Every `STEP` characters the end of the text (an n-gram of `TAIL` characters) is looked for before itself. The nearest place where
it stood gives a candidate period, and the text is a loop if it has had exactly that period for `TIMES` repeats and at least
`LEAST` characters. Each check looks at a bounded window, so the time is linear in the text and the memory constant; the answer
follows from the text alone, however it was cut into pieces. The trade-off: a text that changes a little with each repeat (a
counter) is not noticed, and no text that only resembles a loop is ever ended.
"""

from __future__ import annotations

STEP = 256
"""Characters between two checks."""
TAIL = 64
"""Characters of the n-gram that is looked for."""
LONGEST = 2048
"""The longest period, in characters."""
TIMES = 6
"""How often a period stands one after the other …"""
LEAST = 1024
"""… and over how many characters at least, so that a row of zeros or a ruled line is no loop."""
WINDOW = (TIMES + 1) * LONGEST


class LoopDetector:
    """Takes a text piece by piece and says when it has become a loop."""

    def __init__(self) -> None:
        self._kept = ""
        self._pieces: list[str] = []
        self._waiting = 0

    def take(self, piece: str) -> bool:
        """Take the next piece; True once the text is a loop."""
        self._pieces.append(piece)
        self._waiting += len(piece)
        if self._waiting < STEP:
            return False
        fresh = "".join(self._pieces)
        whole = len(fresh) // STEP * STEP
        self._pieces, self._waiting = [fresh[whole:]], len(fresh) - whole
        for start in range(0, whole, STEP):
            self._kept = (self._kept + fresh[start : start + STEP])[-WINDOW:]
            if _loops(self._kept):
                return True
        return False


def _loops(text: str) -> bool:
    """Whether the end of a text has had one period for long enough."""
    if len(text) < LEAST:
        return False
    start = len(text) - TAIL
    before = text.rfind(text[start:], max(0, start - LONGEST), start + TAIL - 1)
    if before < 0:
        return False
    period = start - before
    stretch = max(LEAST, TIMES * period)
    return len(text) >= stretch + period and text[-stretch:] == text[-stretch - period : -period]
