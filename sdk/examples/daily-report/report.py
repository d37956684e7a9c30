"""What is counted, and the report made of it. No input or output here."""

WIDTH = 30
"""Characters of the longest bar."""
NAME = 28
"""Characters of a sensor's name in a table."""
MOST_LINES = 20
"""Sensors that a notification names; the log has all of them."""


def add(state, reading, hours):
    """Counts a reading, in all and in the hour in which it was measured."""
    value = float(reading.value)
    sensor = state.setdefault("sensors", {}).setdefault(
        reading.sensor, {"name": reading.name, "all": _nothing(value), "hours": {}}
    )
    sensor["name"] = reading.name
    _count(sensor["all"], value)
    by_hour = sensor["hours"]
    _count(by_hour.setdefault(reading.time[:13], _nothing(value)), value)
    # A period touches one more clock hour than it is long; the state must not grow with what lies outside.
    if len(by_hour) > hours + 1:
        del by_hour[min(by_hour)]


def _nothing(value):
    return [0, 0.0, value, value]


def _count(entry, value):
    entry[0] += 1
    entry[1] += (value - entry[1]) / entry[0]
    entry[2] = min(entry[2], value)
    entry[3] = max(entry[3], value)


def together(entries):
    """Returns number, mean, lowest and highest of several such entries; nothing of none."""
    entries = [entry for entry in entries if entry[0]]
    if not entries:
        return None
    number = sum(entry[0] for entry in entries)
    mean = sum(entry[0] * entry[1] for entry in entries) / number
    return [number, mean, min(entry[2] for entry in entries), max(entry[3] for entry in entries)]


def silent(state, members):
    """Returns the names of bound sensors that sent nothing."""
    return [member.name for member in members if member.id not in state.get("sensors", {})]


def unit(members):
    """Returns the unit as people write it."""
    name = members[0].unit if members else None
    return {"Cel": "°C", None: ""}.get(name, name)


def lines(state, members, location, hours):
    """Returns the report for the log."""
    title = f"Report of {location}: the last {period(hours)}"
    sensors = sorted(state.get("sensors", {}).values(), key=lambda sensor: sensor["name"])
    result = [title, "=" * len(title), ""]
    if not sensors:
        return [*result, "No readings.", *_silence(state, members)]
    result.append(f"{'sensor':<{NAME}}  readings  lowest    mean  highest  {unit(members)}".rstrip())
    result += [_row(sensor["name"], sensor["all"]) for sensor in sensors]
    if len(sensors) > 1:
        result.append(_row("all", together([sensor["all"] for sensor in sensors])))
    result += _silence(state, members)
    lowest = min(entry[1] for sensor in sensors for entry in sensor["hours"].values())
    highest = max(entry[1] for sensor in sensors for entry in sensor["hours"].values())
    for sensor in sensors:
        result += ["", f"{sensor['name']}, mean of each hour (UTC)"]
        for hour, entry in sorted(sensor["hours"].items()):
            result.append(f"{hour.replace('T', ' ')}:00 {entry[1]:8.1f}  {_bar(entry[1], lowest, highest)}")
    return result


def _row(name, entry):
    number, mean, lowest, highest = entry
    return f"{_short(name):<{NAME}}  {number:8d}{lowest:8.1f}{mean:8.1f}{highest:9.1f}"


def _short(name):
    return name if len(name) <= NAME else name[: NAME - 1] + "…"


def _bar(value, lowest, highest):
    share = (value - lowest) / (highest - lowest) if highest > lowest else 0.5
    return "█" * (1 + round(share * (WIDTH - 1)))


def _silence(state, members):
    names = silent(state, members)
    return ["", f"Nothing was heard of: {', '.join(names)}."] if names else []


def notification(state, members, location, hours):
    """Returns title, text and severity of the notification."""
    title = f"Report of {location}"
    title = title if len(title) <= 200 else title[:199] + "…"
    sensors = sorted(state.get("sensors", {}).values(), key=lambda sensor: sensor["name"])
    every = together([sensor["all"] for sensor in sensors])
    quiet = silent(state, members)
    if every is None:
        return title, f"No readings in the last {period(hours)}. Nothing was heard of: {', '.join(quiet)}.", "warning"
    number, mean, lowest, highest = every
    degrees = f" {unit(members)}".rstrip()
    readings = "1 reading" if number == 1 else f"{number} readings"
    text = [
        f"{readings} in the last {period(hours)}: {lowest:.1f} to {highest:.1f}{degrees}, mean {mean:.1f}{degrees}."
    ]
    if len(sensors) > 1:
        for sensor in sensors[:MOST_LINES]:
            _, mean, lowest, highest = sensor["all"]
            text.append(f"{_short(sensor['name'])}: {lowest:.1f} to {highest:.1f}{degrees}, mean {mean:.1f}{degrees}")
        if len(sensors) > MOST_LINES:
            text.append(f"… and {len(sensors) - MOST_LINES} more: see the log.")
    if quiet:
        text.append(f"Nothing was heard of: {', '.join(quiet)}.")
    return title, "\n".join(text), "warning" if quiet else "info"


def period(hours):
    """Returns a number of hours in words."""
    return "hour" if hours == 1 else f"{hours} hours"
