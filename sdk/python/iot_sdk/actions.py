"""Notifications and device commands."""

from __future__ import annotations

import http.client
import json
import logging
import threading
import time
import urllib.parse
from typing import Any, Callable

from .settings import Settings

log = logging.getLogger("iot_sdk")

# How long an accepted command may be unknown to a copy of the platform that is asked for it.
UNHEARD_SECONDS = 60.0
SEVERITIES = ("info", "warning", "critical")


class ActionRefused(Exception):
    """The platform will never accept this action: unknown slot, device or command, or a bad argument."""

    def __init__(self, status: int, detail: str):
        super().__init__(detail)
        self.status = status


class ActionUnavailable(Exception):
    """The platform could not be reached in time; only pages give up, handlers of readings wait."""


# Not an `Exception`: a handler that catches every exception must not keep a copy alive that has to end.
class Fenced(BaseException):
    """A newer session acts for this instance; this process must end."""


class Interrupted(BaseException):
    """The program stops, or the connection is lost, while an action could not be delivered."""


class Actions:
    """Sends actions, each until the platform has it."""

    def __init__(self, settings: Settings, pause: Callable[[float], bool], timeout: float = 10.0):
        """`pause` waits that many seconds; it returns false when there is no time left to go on."""
        self._settings = settings
        self._pause = pause
        self._timeout = timeout
        self._address = urllib.parse.urlsplit(settings.actions)
        self._connection: http.client.HTTPConnection | None = None
        self._lock = threading.Lock()
        self._sent: dict[str, float] = {}
        self.session: int | None = None

    def notify(self, key: str, title: str, text: str, severity: str, patience: float | None = None) -> str:
        """Sends a notification; returns its id. `patience`: seconds to go on trying, without it as long as needed."""
        if severity not in SEVERITIES:
            raise ValueError(f"severity is `{severity}`: allowed are {', '.join(SEVERITIES)}")
        body = {"title": title, "text": text, "severity": severity}
        return self._post("/v1/notifications", key, body, patience)

    def command(self, key: str, body: dict[str, Any], patience: float | None = None) -> str:
        """Sends a command to the devices of a slot, or to one of them; returns its id."""
        return self._post("/v1/commands", key, body, patience)

    def command_state(self, command: str) -> dict[str, Any]:
        """Returns what became of a command."""
        path = f"/v1/commands/{urllib.parse.quote(command)}"
        try:
            return self._until_answered("GET", path, None, {}, 10.0)
        except ActionRefused as refused:
            # Another copy of the gateway may not have heard of it yet.
            sent = self._sent.get(command)
            if refused.status == 404 and sent is not None and time.monotonic() - sent < UNHEARD_SECONDS:
                return {"id": command, "state": "queued"}
            raise

    def close(self) -> None:
        """Gives the connection back, unless an action is under way on it; the next one takes another."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        finally:
            self._lock.release()

    def _post(self, path: str, key: str, body: dict[str, Any], patience: float | None) -> str:
        content = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        action = self._until_answered("POST", path, content, headers, patience).get("id", "")
        now = time.monotonic()
        self._sent = {sent: at for sent, at in self._sent.items() if now - at < UNHEARD_SECONDS}
        self._sent[action] = now
        return action

    def _until_answered(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], patience: float | None
    ) -> dict[str, Any]:
        wait, began = 0.1, time.monotonic()
        while True:
            if self.session is None:
                status, answer, retry_after, problem = 0, {}, None, "this copy holds no session"
            else:
                status, answer, retry_after, problem = self._attempt(method, path, body, headers)
            if 200 <= status < 300:
                return answer
            if status == 409:
                raise Fenced(problem)
            if 400 <= status < 500 and status not in (408, 425, 429):
                raise ActionRefused(status, problem)
            seconds = min(5.0, max(wait, retry_after or 0.0))
            if patience is not None and time.monotonic() - began + seconds > patience:
                raise ActionUnavailable(problem)
            log.warning("%s %s: %s; trying again in %.1f s", method, path, problem, seconds)
            if not self._pause(seconds):
                raise Interrupted(problem)
            wait = min(wait * 2, 5.0)

    def _attempt(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any], float | None, str]:
        """Returns status (0 without an answer), body, Retry-After and what to say about it."""
        headers = {**headers, "Authorization": f"Bearer {self._settings.token()}", "X-Session": str(self.session)}
        with self._lock:
            try:
                response, content = self._exchange(method, path, body, headers)
            except (OSError, http.client.HTTPException) as error:
                return 0, {}, None, f"no answer ({error or type(error).__name__})"
        answer = _object(content)
        problem = answer.get("detail") or answer.get("title") or f"answered {response.status}"
        retry_after = response.getheader("Retry-After") or ""
        return response.status, answer, float(retry_after) if retry_after.isdigit() else None, problem

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Asks once, on the connection that is kept or on a new one."""
        while True:
            kept = self._connection
            if kept is None:
                host, port = self._address.hostname or "", self._address.port or 80
                self._connection = http.client.HTTPConnection(host, port, timeout=self._timeout)
            connection = self._connection
            try:
                connection.request(method, self._address.path.rstrip("/") + path, body, headers)
                response = connection.getresponse()
                return response, response.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self._connection = None
                # The platform closes what was idle for a while, which shows only here. Nothing is done twice: every
                # action has its key.
                if kept is None or not isinstance(error, ConnectionError):
                    raise


def command_body(slot: str, command: str, arguments: dict[str, Any] | None, device: str | None) -> dict[str, Any]:
    """Returns the body of a command."""
    body = {"slot": slot, "command": command, "arguments": arguments or {}}
    if device is not None:
        body["device"] = device
    return body


def _object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
