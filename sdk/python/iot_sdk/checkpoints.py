"""When to save. Pure: the moment is an argument."""

from __future__ import annotations


class Checkpoints:
    """Follows what was consumed and changed, what was sent to be saved, and what is saved.

    Saves every `every` readings or `seconds` after the first unsaved change; one save is on its way at a time.
    """

    def __init__(self, every: int = 200, seconds: float = 1.0):
        self.every = every
        self.seconds = seconds
        self.consumed = 0
        self.sent = 0
        # Saves are counted, not known by their `n`: the state may change between two readings, then two have one `n`.
        self._asked = 0
        self._answered = 0
        self._since: float | None = None

    def consume(self, n: int, now: float) -> None:
        """Notes that readings up to `n` are consumed."""
        self.consumed = n
        self.touch(now)

    def touch(self, now: float) -> None:
        """Notes that there is something to save."""
        if self._since is None:
            self._since = now

    def due(self, now: float) -> bool:
        """Tells whether to save now."""
        if self._since is None or self.on_its_way:
            return False
        return self.consumed - self.sent >= self.every or now - self._since >= self.seconds

    def wait(self, now: float) -> float | None:
        """Returns how long until a save is due by time; nothing when no time makes it due."""
        if self._since is None or self.on_its_way:
            return None
        return max(0.0, self._since + self.seconds - now)

    def send(self) -> int:
        """Notes that a save of everything is on its way; returns its `n`."""
        self.sent = self.consumed
        self._asked += 1
        self._since = None
        return self.sent

    def answered(self, answers: int) -> None:
        """Notes how many saves were answered so far."""
        self._answered = answers

    @property
    def on_its_way(self) -> bool:
        """Whether a save waits for its answer."""
        return self._asked > self._answered

    @property
    def unsent(self) -> bool:
        """Whether something was not sent to be saved."""
        return self._since is not None

    @property
    def complete(self) -> bool:
        """Whether everything is saved."""
        return not self.unsent and not self.on_its_way

    @property
    def progressed(self) -> bool:
        """Whether anything was consumed or saved."""
        return self.consumed > 0 or self._answered > 0
