"""What travels on the stream of readings."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Reading:
    """One reading of a bound sensor."""

    n: int
    """Counts from 1 within a session."""
    position: str
    """Stays the same when the reading is delivered again."""
    slot: str
    sensor: str
    name: str
    location: str
    time: str
    """RFC 3339, UTC; `moment` is the same as a `datetime`."""
    values: dict[str, Any]

    @property
    def value(self) -> Any:
        """The value, for a sensor that measures one property (or one named as the slot)."""
        if len(self.values) == 1:
            return next(iter(self.values.values()))
        if self.slot in self.values:
            return self.values[self.slot]
        raise ValueError(f"{self.name} measures several properties: choose one of {', '.join(self.values)}")

    @property
    def moment(self) -> datetime:
        """When it was measured."""
        return datetime.fromisoformat(self.time.replace("Z", "+00:00"))

    @classmethod
    def parse(cls, message: dict[str, Any]) -> Reading:
        """Reads a message of type `reading`."""
        return cls(
            n=message["n"],
            position=message["position"],
            slot=message["slot"],
            sensor=message["sensor"],
            name=message.get("name") or message["sensor"],
            location=message.get("location") or "",
            time=message["time"],
            values=message["values"],
        )


@dataclass(frozen=True)
class Member:
    """A sensor or device that is bound to a slot."""

    id: str
    name: str
    location: str
    unit: str | None = None


@dataclass(frozen=True)
class Binding:
    """What is bound to each slot."""

    slots: dict[str, list[Member]] = field(default_factory=dict)

    def __getitem__(self, slot: str) -> list[Member]:
        """The members of a slot; none for a slot that nothing is bound to."""
        return self.slots.get(slot, [])

    @classmethod
    def parse(cls, value: dict[str, Any] | None) -> Binding:
        """Reads the `binding` of a message."""
        slots = (value or {}).get("slots") or {}
        return cls({name: [_member(member) for member in slot.get("members", [])] for name, slot in slots.items()})


def _member(value: dict[str, Any]) -> Member:
    return Member(
        id=value["id"],
        name=value.get("name") or value["id"],
        location=value.get("location") or "",
        unit=value.get("unit"),
    )
