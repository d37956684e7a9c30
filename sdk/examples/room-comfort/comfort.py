"""What is remembered and decided. No input or output here."""

CHART_POINTS = 240
CHART_SECONDS = 2


def empty():
    """Returns the state of a first run."""
    return {"count": 0, "out_of_order": 0, "fan_on": None, "switched": 0, "sensors": {}, "chart": []}


def count(state, reading):
    """Adds a reading to the statistics; returns what is known of its sensor.

    Mean and variance by Welford: no sum grows without bound, and no reading has to be kept.
    """
    value = float(reading.value)
    state["count"] += 1
    sensor = state["sensors"].setdefault(
        reading.sensor,
        {"count": 0, "mean": 0.0, "m2": 0.0, "min": value, "max": value, "out_of_order": 0, "time": "", "hot": False},
    )
    sensor["count"] += 1
    distance = value - sensor["mean"]
    sensor["mean"] += distance / sensor["count"]
    sensor["m2"] += distance * (value - sensor["mean"])
    sensor["min"] = min(sensor["min"], value)
    sensor["max"] = max(sensor["max"], value)
    # Moments of one format (UTC, milliseconds) are ordered as their texts are.
    if reading.time < sensor["time"]:
        sensor["out_of_order"] += 1
        state["out_of_order"] += 1
    sensor.update(time=max(reading.time, sensor["time"]), last=value, name=reading.name, location=reading.location)
    _draw(state, reading)
    return sensor


def _draw(state, reading):
    chart = state["chart"]
    moment = reading.moment.timestamp()
    if not chart or moment - chart[-1][0] >= CHART_SECONDS:
        chart.append([round(moment, 1), round(mean(state), 2)])
        del chart[:-CHART_POINTS]


def mean(state):
    """Returns the mean of the sensors' last values; nothing before the first."""
    values = [sensor["last"] for sensor in state["sensors"].values()]
    return sum(values) / len(values) if values else None


def wanted(state, target, hysteresis):
    """Tells whether the fan should run: between the two limits it stays as it is."""
    temperature = mean(state)
    if temperature > target + hysteresis:
        return True
    if temperature < target - hysteresis:
        return False
    return bool(state["fan_on"])


def crossed(sensor, threshold, hysteresis):
    """Tells, once per crossing, that a sensor has risen above the threshold."""
    if sensor["hot"]:
        sensor["hot"] = sensor["last"] > threshold - hysteresis
        return False
    sensor["hot"] = sensor["last"] > threshold
    return sensor["hot"]
