"""Consumes readings: opens the stream, calls the handlers, saves, and starts over when the connection is lost."""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import random
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Callable

from .actions import Actions, Fenced, Interrupted
from .checkpoints import Checkpoints
from .context import Context
from .messages import Binding, Reading
from .settings import Settings, SettingsError
from .stream import Stream
from .websocket import ConnectionClosed, HandshakeError

log = logging.getLogger("iot_sdk")

EXIT_OK, EXIT_FAILED, EXIT_FENCED = 0, 1, 75
LARGEST_STATE = 256 * 1024


@dataclass
class Handlers:
    """The functions of a developer."""

    on_error: str = "exit"
    every: int = 200
    seconds: float = 1.0
    stop: float = 5.0
    """Seconds that an end may wait for what is on its way."""
    readings: list[tuple[str | None, Callable[[Reading, Context], None]]] = field(default_factory=list)
    open: list[Callable[[Context], None]] = field(default_factory=list)
    binding: list[Callable[[Context], None]] = field(default_factory=list)
    gap: list[Callable[[str, str, Context], None]] = field(default_factory=list)
    end: list[Callable[[Context], None]] = field(default_factory=list)


class _Ended(Exception):
    """The program has come to its good end."""


class Runner:
    """Runs an application in the main thread."""

    def __init__(self, settings: Settings, handlers: Handlers, query: dict[str, str]):
        self.settings = settings
        self.handlers = handlers
        self.actions = Actions(settings, self._pause)
        self.context = Context(settings, self.actions)
        self.standby = False
        self.stopping = False
        self._stop_at = 0.0
        self._query = query
        self._stream: Stream | None = None
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._checkpoints = Checkpoints()
        self._events = 0

    def run(self) -> int:
        """Returns the exit status."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: self.stop())
            signal.signal(signal.SIGINT, lambda *_: self.stop())
        wait = 0.1
        while not self.stopping:
            try:
                self._stream = Stream.open(self.settings, self._query)
            except (OSError, HandshakeError, ConnectionClosed, SettingsError) as error:
                log.warning("no connection to the platform: %s; trying again in %.1f s", error, wait)
                self._sleep(wait * random.uniform(0.8, 1.2))
                wait = min(wait * 2, 5.0)
                continue
            try:
                status = self._consume(self._stream)
            finally:
                self.actions.session = None
                self._stream.close()
                self.actions.close()
            if status is not None:
                return status
            if self._checkpoints.progressed:
                wait = 0.1
            log.warning("%s; connecting again", self._stream.lost)
            self._sleep(wait * random.uniform(0.8, 1.2))
            wait = min(wait * 2, 5.0)
        return EXIT_OK

    def stop(self) -> None:
        """Asks for the end: what is consumed is saved first. May be called in a signal handler, hence only flags."""
        self.stopping = True
        self._stop_at = time.monotonic() + self.handlers.stop
        self._bell.put(None)
        if self._stream is not None:
            self._stream.wake()

    def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(queue.Empty):
            self._bell.get(timeout=seconds)

    def _pause(self, seconds: float) -> bool:
        """Waits before an action is tried again; false when waiting makes no more sense."""
        stream = self._stream
        if stream is not None and stream.fenced:
            raise Fenced("a newer copy has taken over")
        if stream is not None and stream.lost and threading.current_thread() is threading.main_thread():
            return False
        if self.stopping:
            if time.monotonic() >= self._stop_at:
                return False
            seconds = min(seconds, 0.5)
        if threading.current_thread() is threading.main_thread():
            self._sleep(seconds)
        else:
            time.sleep(seconds)
        return True

    def _consume(self, stream: Stream) -> int | None:
        """Handles one connection; returns the exit status, or nothing to connect again."""
        self._checkpoints = Checkpoints(self.handlers.every, self.handlers.seconds)
        status = None
        try:
            while not stream.lost and not stream.fenced and not self.stopping:
                self._step(stream)
            if stream.fenced:
                raise Fenced("a newer copy has taken over")
            if self.stopping:
                self._save_all(stream)
                raise _Ended("stopped")
        except _Ended as end:
            log.info("%s", end)
            status = EXIT_OK
        except Fenced as error:
            log.error("%s: this copy ends", error)
            status = EXIT_FENCED
        except Interrupted:
            # The reading is half handled: neither it nor the state is saved, and it will be delivered again.
            status = EXIT_OK if self.stopping else None
        except Exception:
            log.exception("the application failed")
            status = EXIT_FAILED
        return status

    def _step(self, stream: Stream) -> None:
        message = stream.next(self._checkpoints.wait(time.monotonic()))
        if message is not None:
            self._handle(stream, message)
        self._checkpoints.answered(stream.answers)
        if self._checkpoints.due(time.monotonic()):
            self._save(stream)

    def _handle(self, stream: Stream, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "reading":
            self._on_reading(Reading.parse(message))
        elif kind == "opened":
            self._on_opened(message)
        elif kind == "standby":
            self.standby = True
            log.info("standing by: another copy holds the session")
        elif kind == "binding":
            self.context.binding = Binding.parse(message["binding"])
            self._on_event("binding", self.handlers.binding, self.context)
        elif kind == "gap":
            log.warning("readings of sensor %s were lost: %s", message["sensor"], message["lost"])
            self._on_event("gap", self.handlers.gap, message["sensor"], message["lost"], self.context)
        elif kind == "end":
            self._on_end(stream)
        elif kind == "caught_up":
            log.info("caught up")

    def _on_opened(self, message: dict[str, Any]) -> None:
        state = message.get("state")
        with self.context.lock:
            # Whatever was not saved is forgotten here, because its readings are about to be delivered again.
            self.context.state = state if isinstance(state, dict) else {}
            self.context.binding = Binding.parse(message.get("binding"))
        self.actions.session = message["session"]
        self.standby = False
        log.info("session %s opened", message["session"])
        self._events = 0
        self._on_event("open", self.handlers.open, self.context)

    def _on_event(self, kind: str, handlers: list[Callable[..., None]], *arguments: Any) -> None:
        """Calls handlers for what is no reading: nothing names it from one session to the next.

        So what they send happens once in each session that calls them; what they change is saved without waiting for
        a reading, because the next session begins with it.
        """
        if handlers:
            self._events += 1
            self._call(f"{kind}/{self.actions.session}/{self._events}", handlers, *arguments)
            self._checkpoints.touch(time.monotonic())

    def _on_reading(self, reading: Reading) -> None:
        handlers = [handler for slot, handler in self.handlers.readings if slot is None or slot == reading.slot]
        self._call(reading.position, handlers, reading, self.context)
        self._checkpoints.consume(reading.n, time.monotonic())

    def _on_end(self, stream: Stream) -> None:
        if self._save_all(stream):
            if self.handlers.end:
                # A task ends once, whichever session comes to it: its cause is the same in all of them.
                self._call("end", self.handlers.end, self.context)
                self._checkpoints.touch(time.monotonic())
            if self._save_all(stream):
                raise _Ended("all readings were delivered")
        stream.close()  # connects again, and is told of the end again

    def _call(self, cause: str, handlers: list[Callable[..., None]], *arguments: Any) -> None:
        if not handlers:
            return
        context = self.context
        with context.lock:
            context.begin(cause)
            for handler in handlers:
                try:
                    handler(*arguments)
                except Exception:
                    if self.handlers.on_error != "skip":
                        raise
                    log.exception("a handler failed, skipped (%s)", cause)

    def _save(self, stream: Stream) -> None:
        with self.context.lock:
            state = json.dumps(self.context.state, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        # Characters are counted first: bytes only need counting when it is near.
        if len(state) > LARGEST_STATE // 4 and len(state.encode()) > LARGEST_STATE:
            raise ValueError(f"the state has {len(state.encode())} bytes as JSON: at most {LARGEST_STATE} can be saved")
        stream.checkpoint(self._checkpoints.send(), state)

    def _save_all(self, stream: Stream) -> bool:
        """Saves everything consumed and waits for it; false when that did not succeed."""
        until = time.monotonic() + self.handlers.stop
        while not self._checkpoints.complete:
            if stream.lost or stream.fenced or time.monotonic() > until:
                log.warning("the last readings could not be saved: they will be delivered again")
                return False
            if self._checkpoints.unsent and not self._checkpoints.on_its_way:
                self._save(stream)
            # Readings that still come are left: they are delivered again to whoever comes next.
            stream.next(0.1)
            self._checkpoints.answered(stream.answers)
        return True
