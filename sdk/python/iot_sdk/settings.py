"""What the platform tells an application through its environment."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class SettingsError(Exception):
    """The environment is not that of an application on the platform."""


class Parameters(dict):
    """The parameters that were chosen for this run; a missing name says which there are."""

    def __missing__(self, name: str) -> Any:
        """Explains what there is instead."""
        known = ", ".join(sorted(self)) or "none"
        raise KeyError(f"there is no parameter `{name}`: the manifest has {known}")


@dataclass
class Settings:
    """The resolved environment."""

    readings: str
    actions: str
    token_file: str
    instance: str = ""
    application: str = ""
    version: str = ""
    location: str = ""
    parameters: Parameters = field(default_factory=Parameters)
    port: int | None = None
    replica: str = field(default_factory=lambda: f"{socket.gethostname()}-{secrets.token_hex(4)}")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Reads the environment; says what is missing or wrong."""

        def needed(name: str) -> str:
            if not environment.get(name):
                raise SettingsError(f"{name} is not set: an application is started by the platform, which sets it")
            return environment[name]

        try:
            parameters = json.loads(environment.get("IOT_PARAMETERS") or "{}")
        except ValueError as error:
            raise SettingsError(f"IOT_PARAMETERS is not JSON: {error}") from error
        if not isinstance(parameters, dict):
            raise SettingsError("IOT_PARAMETERS must be a JSON object")
        port = environment.get("IOT_PORT")
        if port and not port.isdigit():
            raise SettingsError(f"IOT_PORT is `{port}`: it must be a number")
        return cls(
            readings=needed("IOT_READINGS"),
            actions=needed("IOT_ACTIONS"),
            token_file=needed("IOT_TOKEN_FILE"),
            instance=environment.get("IOT_INSTANCE", ""),
            application=environment.get("IOT_APPLICATION", ""),
            version=environment.get("IOT_VERSION", ""),
            location=environment.get("IOT_LOCATION", ""),
            parameters=Parameters(parameters),
            port=int(port) if port else None,
        )

    def token(self) -> str:
        """Reads the token; read anew for each connection, because it may be renewed."""
        try:
            with open(self.token_file, encoding="utf-8") as file:
                return file.read().strip()
        except OSError as error:
            raise SettingsError(f"the token could not be read: {error}") from error
