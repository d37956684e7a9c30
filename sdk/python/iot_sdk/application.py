"""The application: what a developer writes against."""

from __future__ import annotations

import logging
import sys
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, TypeVar, Union

from .actions import command_body
from .context import Context
from .pages import Pages
from .runner import Handlers, Runner
from .settings import Parameters, Settings, SettingsError

PAGE_PATIENCE = 10.0
"""Seconds that a page waits for the platform to take an action."""

Handler = TypeVar("Handler", bound=Callable[..., Any])
Since = Union[datetime, timedelta, str]
"""A moment (as a text: RFC 3339), or how far back."""


class Application:
    """Handlers for readings and pages; `run` does the rest."""

    def __init__(
        self,
        *,
        on_error: str = "exit",
        checkpoint_every: int = 200,
        checkpoint_seconds: float = 1.0,
        stop_seconds: float = 5.0,
    ):
        """Takes what is rarely changed.

        Args:
            on_error: What follows when a handler raises: `exit` (status 1, started again) or `skip` (logged).
            checkpoint_every: Save after so many readings.
            checkpoint_seconds: Save at the latest so long after something changed.
            stop_seconds: How long an end may wait for what is on its way; less than `stop_timeout_seconds` of app.json.
        """
        if on_error not in ("exit", "skip"):
            raise ValueError(f"on_error is `{on_error}`: allowed are exit, skip")
        self._handlers = Handlers(on_error, checkpoint_every, checkpoint_seconds, stop_seconds)
        self._pages = Pages()
        self._runner: Runner | None = None

    def on_reading(self, slot: str | None = None) -> Callable[[Handler], Handler]:
        """Calls the function for each reading of a slot (of every slot without a name): `(reading, context)`."""
        if callable(slot):
            raise TypeError('write @app.on_reading("slot") or @app.on_reading()')

        def add(handler: Handler) -> Handler:
            self._handlers.readings.append((slot, handler))
            return handler

        return add

    def on_open(self, handler: Callable[[Context], None]) -> Callable[[Context], None]:
        """Calls the function when readings begin, also after a lost connection: `(context)`."""
        self._handlers.open.append(handler)
        return handler

    def on_binding(self, handler: Callable[[Context], None]) -> Callable[[Context], None]:
        """Calls the function when the bound sensors and devices have changed: `(context)`."""
        self._handlers.binding.append(handler)
        return handler

    def on_gap(self, handler: Callable[[str, str, Context], None]) -> Callable[[str, str, Context], None]:
        """Calls the function when readings were lost before they could be read: `(sensor, reason, context)`."""
        self._handlers.gap.append(handler)
        return handler

    def on_end(self, handler: Callable[[Context], None]) -> Callable[[Context], None]:
        """Calls the function when a task has had all its readings: `(context)`."""
        self._handlers.end.append(handler)
        return handler

    def page(self, path: str, *, methods: tuple[str, ...] = ("GET",)) -> Callable[[Handler], Handler]:
        """Serves what the function returns: text (HTML), bytes, a dictionary or list (JSON), or a `Response`."""
        return self._pages.add(path, methods)

    def live(self, path: str, *, every: float = 1.0) -> Callable[[Handler], Handler]:
        """Serves the data that the function returns as server-sent events; as JSON with `?once`."""
        return self._pages.add_live(path, every)

    def command(
        self, slot: str, command: str, arguments: dict[str, Any] | None = None, *, device: str | None = None
    ) -> str:
        """Sends a command from a page. In a handler of readings use `context.command`, which happens once."""
        body = command_body(slot, command, arguments, device)
        return self._running().actions.command(f"page/{uuid.uuid4()}", body, PAGE_PATIENCE)

    def notify(self, title: str, text: str = "", *, severity: str = "info") -> str:
        """Sends a notification from a page. In a handler of readings use `context.notify`, which happens once."""
        return self._running().actions.notify(f"page/{uuid.uuid4()}", title, text, severity, PAGE_PATIENCE)

    def run(
        self,
        *,
        until_now: bool = False,
        since: Since | Callable[[Parameters], Since] | None = None,
        settings: Settings | None = None,
    ) -> None:
        """Runs, then ends the program.

        Status 0: told to stop, or a task had all its readings. 1: a handler failed. 75: a newer copy has taken over.

        Args:
            until_now: End when the readings that are there now were delivered (a task).
            since: Where a first run begins: a moment, or how far back, or a function of the parameters that returns one
                of these; without it at what comes next.
            settings: Instead of the environment.
        """
        _log_to_stdout()
        try:
            settings = settings or Settings.from_environment()
        except SettingsError as error:
            logging.getLogger("iot_sdk").error("%s", error)
            sys.exit(78)
        query = {"until": "now"} if until_now else {}
        if since is not None:
            query["from"] = _moment(since(settings.parameters) if callable(since) else since)
        self._runner = Runner(settings, self._handlers, query)
        if settings.port is not None:
            self._pages.serve(settings, self._runner)
        status = self._runner.run()
        self._pages.stop()
        sys.exit(status)

    def _running(self) -> Runner:
        if self._runner is None:
            raise RuntimeError("the application is not running yet: call this in a page, after app.run()")
        return self._runner


def _moment(since: Since) -> str:
    if isinstance(since, str):
        return since
    if isinstance(since, timedelta):
        since = datetime.now(timezone.utc) - since
    if since.tzinfo is None:
        raise ValueError("since needs a time zone: datetime(..., tzinfo=timezone.utc)")
    return since.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _log_to_stdout() -> None:
    # Lines appear at once, also those of print: the log is watched live.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True)
    if not logging.getLogger().handlers:
        logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(message)s")
