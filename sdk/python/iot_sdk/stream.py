"""The stream of readings: a WebSocket and the thread that reads it.

Reading in a thread of its own keeps the connection alive (pings are answered) however long a handler takes.
"""

from __future__ import annotations

import json
import queue
import threading
import urllib.parse
from typing import Any

from .settings import Settings
from .websocket import ConnectionClosed, WebSocket

FENCED = 4409
"""Close code: a newer session exists."""


class Stream:
    """One connection. `lost`, `fenced` and `answers` are what is known now, whatever still waits to be handled."""

    def __init__(self, socket: WebSocket):
        self._socket = socket
        # A SimpleQueue, because a signal handler puts into it: its `put` may interrupt a `get` of the same thread.
        self._incoming: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.lost: ConnectionClosed | None = None
        self.fenced = False
        self.answers = 0
        """Checkpoints that are saved. Behind thousands of waiting readings it would be known too late."""
        threading.Thread(target=self._read, name="readings", daemon=True).start()

    @classmethod
    def open(cls, settings: Settings, query: dict[str, str]) -> Stream:
        """Connects."""
        address = settings.readings.rstrip("/") + "/v1/stream"
        query = {"shard": "0", "replica": settings.replica, **query}
        headers = {"Authorization": f"Bearer {settings.token()}"}
        return cls(WebSocket.connect(f"{address}?{urllib.parse.urlencode(query)}", headers))

    def _read(self) -> None:
        try:
            for text in self._socket.messages():
                message = json.loads(text)
                kind = message.get("type")
                if kind == "fenced":
                    self.fenced = True
                elif kind == "checkpointed":
                    self.answers += 1
                self._incoming.put(message)
        except ConnectionClosed as error:
            self.fenced = self.fenced or error.code == FENCED
            self.lost = error
        except Exception as error:  # a message that cannot be understood ends the connection, not the program
            self.lost = ConnectionClosed(1002, f"unexpected message: {error}")
            self._socket.close(1002)
        self._incoming.put(None)

    def next(self, timeout: float | None) -> dict[str, Any] | None:
        """Returns the next message; nothing after the time, after `wake`, or when the connection is lost."""
        try:
            return self._incoming.get(timeout=timeout)
        except queue.Empty:
            return None

    def wake(self) -> None:
        """Lets a waiting `next` return. May be called in a signal handler."""
        self._incoming.put(None)

    def checkpoint(self, n: int, state: str) -> None:
        """Asks to save: readings up to `n` are consumed, this (JSON) is what is remembered of them."""
        try:
            self._socket.send_text(f'{{"type":"checkpoint","n":{n},"state":{state}}}')
        except ConnectionClosed as error:
            self.lost = self.lost or error

    def close(self) -> None:
        """Says good-bye."""
        self._socket.close(1000)
