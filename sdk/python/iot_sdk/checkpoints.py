"""When to save. Pure: the moment is an argument."""

from __future__ import annotations


class Checkpoints:
    """Follows what was consumed, what was sent to be saved, and what is saved.

    Saves every `every` readings or `seconds` after the first unsaved one; one save is on its way at a time.
    """

    def __init__(self, every: int = 200, seconds: float = 1.0):
        self.every = every
        self.seconds = seconds
        self.consumed = 0
        self.sent = 0
        self.saved = 0
        self._since: float | None = None

    def consume(self, n: int, now: float) -> None:
        """Notes that readings up to `n` are consumed."""
        self.consumed = n
        if self._since is None:
            self._since = now

    def due(self, now: float) -> bool:
        """Tells whether to save now."""
        if self._since is None or self.sent > self.saved:
            return False
        return self.consumed - self.sent >= self.every or now - self._since >= self.seconds

    def wait(self, now: float) -> float | None:
        """Returns how long until a save is due by time; nothing when no time makes it due."""
        if self._since is None or self.sent > self.saved:
            return None
        return max(0.0, self._since + self.seconds - now)

    def send(self) -> int:
        """Notes that a save of everything consumed is on its way; returns its `n`."""
        self.sent = self.consumed
        self._since = None
        return self.sent

    def save(self, n: int) -> None:
        """Notes that readings up to `n` are saved."""
        self.saved = max(self.saved, n)

    def reopen(self) -> None:
        """Notes that the state has changed after the last reading was saved: it is to be saved once more."""
        self.sent = self.saved = self.consumed - 1

    @property
    def unsent(self) -> bool:
        """Whether something consumed was not sent to be saved."""
        return self.consumed > self.sent

    @property
    def complete(self) -> bool:
        """Whether everything consumed is saved."""
        return self.saved >= self.consumed
