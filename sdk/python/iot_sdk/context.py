"""What a handler works with."""

from __future__ import annotations

import json
import threading
import urllib.parse
from typing import Any

from .actions import Actions, command_body
from .messages import Binding
from .settings import Parameters, Settings

LONGEST_KEY = 200
"""Characters that the platform takes as the key of an action."""


class Context:
    """State, parameters, binding, and the way to act. One per application."""

    def __init__(self, settings: Settings, actions: Actions):
        self.state: dict[str, Any] = {}
        """What is remembered: any JSON; saved by the SDK together with the position in the readings."""
        self.parameters: Parameters = settings.parameters
        """What was chosen for this run."""
        self.binding = Binding()
        """The sensors and devices that are bound to each slot."""
        self.location = settings.location
        """Where this instance works, as people call it."""
        self.instance = settings.instance
        self._actions = actions
        self._cause = "open"
        self._ordinal = 0
        self.lock = threading.RLock()
        """Held while a handler runs."""
        self._copy = "{}"

    def command(
        self,
        slot: str,
        command: str,
        arguments: dict[str, Any] | None = None,
        *,
        device: str | None = None,
        once: str | None = None,
    ) -> str:
        """Sends a command to each device of a slot (or to `device`); returns its id once the platform has it.

        `once` is a name of your choice: under it this happens once in the life of this instance.
        """
        return self._actions.command(self._key(once), command_body(slot, command, arguments, device))

    def notify(self, title: str, text: str = "", *, severity: str = "info", once: str | None = None) -> str:
        """Sends a notification to whoever runs the application; severity is info, warning or critical.

        `once` is a name of your choice: under it this happens once in the life of this instance.
        """
        return self._actions.notify(self._key(once), title, text, severity)

    def command_state(self, command: str) -> dict[str, Any]:
        """Returns what became of a command: queued, sent, acknowledged, failed or expired."""
        return self._actions.command_state(command)

    def snapshot(self) -> dict[str, Any]:
        """Returns a copy of the state between two handlers; for other threads.

        While a handler runs for long, this is the state before it.
        """
        if self.lock.acquire(timeout=0.5):
            try:
                self.keep_copy()
            finally:
                self.lock.release()
        return json.loads(self._copy)

    def keep_copy(self) -> None:
        """Keeps the state as it is now for `snapshot`."""
        self._copy = json.dumps(self.state)

    def begin(self, cause: str) -> None:
        """Names what the following actions are caused by; the same cause gives the same keys again."""
        self._cause = cause
        self._ordinal = 0

    def _key(self, once: str | None) -> str:
        if once is not None:
            key = f"once/{urllib.parse.quote(once, safe='')}"
            if not once or len(key) > LONGEST_KEY:
                raise ValueError(
                    f"once is `{once}`: allowed are 1 to {LONGEST_KEY - 5} characters (encoded as in a URL)"
                )
            return key
        key = f"{self._cause}/{self._ordinal}"
        self._ordinal += 1
        return key
