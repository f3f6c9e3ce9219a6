"""Which token used each row last: what windows and caches remember."""

from __future__ import annotations

from collections import deque

import numpy as np

from simulator.core.rows import Ints

OUTDATED = 8
"""So many times the rows of a layer are kept of past tokens, before those that later tokens used are forgotten."""


class RowUses:
    """The rows that the last tokens used, the oldest token first; `last` has the token that used each row last."""

    def __init__(self, rows: int) -> None:
        self.last = np.full(rows, -1, dtype=np.int32)
        self._tokens: deque[Ints] = deque()
        self._now = 0  # tokens so far
        self._kept = 0  # rows of all tokens

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def first(self) -> int:
        """The number of the oldest token."""
        return self._now - len(self._tokens)

    def add(self, rows: Ints) -> None:
        self.last[rows] = self._now
        self._tokens.append(rows)
        self._now += 1
        self._kept += len(rows)
        if self._kept > OUTDATED * len(self.last):
            self._tokens = deque(self._latest(*each) for each in enumerate(self._tokens, self.first))
            self._kept = sum(map(len, self._tokens))

    def drop_oldest(self) -> Ints:
        """Forgets the oldest token, and gives the rows that no later one used."""
        first, rows = self.first, self._tokens.popleft()
        self._kept -= len(rows)
        return self._latest(first, rows)

    def put_back(self, rows: Ints) -> None:
        """Some rows of the token that was dropped last."""
        self._tokens.appendleft(rows)
        self._kept += len(rows)

    def _latest(self, token: int, rows: Ints) -> Ints:
        """Those that no later token used."""
        return rows.compress(self.last[rows] == token)
