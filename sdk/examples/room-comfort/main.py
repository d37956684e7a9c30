"""Keeps a place comfortable: see app.json for what it needs."""

import logging
import pathlib

import comfort
from iot_sdk import Application

log = logging.getLogger("room-comfort")
app = Application()
PAGE = (pathlib.Path(__file__).parent / "page.html").read_text(encoding="utf-8")


@app.on_open
def prepare(context):
    """Completes the state of a first run."""
    for key, value in comfort.empty().items():
        context.state.setdefault(key, value)
    names = ", ".join(member.name for member in context.binding["temperature"]) or "no sensor"
    log.info("watching %s; %d readings so far", names, context.state["count"])


@app.on_reading("temperature")
def on_temperature(reading, context):
    """Counts the reading, then does what follows from it."""
    sensor = comfort.count(context.state, reading)
    parameters = context.parameters
    if comfort.crossed(sensor, parameters["threshold"], parameters["hysteresis"]):
        log.info("%s is above %s", reading.name, parameters["threshold"])
        context.notify(
            f"{reading.name} is too warm",
            f"{reading.value:.1f} °C at {reading.location}: above {parameters['threshold']:g} °C.",
            severity="warning",
        )
    on = comfort.wanted(context.state, parameters["target"], parameters["hysteresis"])
    if on != context.state["fan_on"]:
        log.info("fan %s at %.2f °C", "on" if on else "off", comfort.mean(context.state))
        context.command("fan", "switch", {"on": on})
        context.state["fan_on"] = on
        context.state["switched"] += 1


@app.page("/")
def page(request):
    """Serves the page; its data comes from `live`."""
    return PAGE


@app.live("/live", every=1)
def live(request):
    """Returns what the page shows."""
    state = {**comfort.empty(), **request.state}
    return {
        "location": request.location,
        "parameters": request.parameters,
        "fan": [member.name for member in request.binding["fan"]],
        "mean": comfort.mean(state),
        **state,
    }


if __name__ == "__main__":
    app.run()
