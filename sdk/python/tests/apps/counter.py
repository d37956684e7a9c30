"""Counts readings; acts on every tenth."""

import os
import sys
import time

from iot_sdk import Application

app = Application(
    on_error=os.environ.get("ON_ERROR", "exit"),
    checkpoint_every=int(os.environ.get("EVERY", "200")),
    checkpoint_seconds=float(os.environ.get("SECONDS_", "0.05")),
    stop_seconds=float(os.environ.get("STOP", "5.0")),
)


@app.on_open
def opened(context):
    context.state.setdefault("count", 0)
    context.state["opened"] = context.state.get("opened", 0) + 1
    if os.environ.get("TELL"):
        context.notify("opened")
        context.notify("begun", once="the beginning: 100 %")
        context.command("fan", "switch", {"on": True})


@app.on_binding
def bound(context):
    context.notify("bound")


@app.on_reading("temperature")
def handle(reading, context):
    number = int(reading.position.split(":")[1])
    if os.environ.get("FAIL_AT") == str(number):
        raise RuntimeError("a reading that cannot be handled")
    if os.environ.get("GROW"):
        context.state["ballast"] = "x" * 300_000
    context.state["count"] += 1
    context.state["sum"] = context.state.get("sum", 0) + number
    if number % 10 == 0:
        context.command("fan", "switch", {"on": number % 20 == 0})
        context.notify("ten more", f"{context.state['count']}", severity="info")
    if os.environ.get("SLOW"):
        time.sleep(float(os.environ["SLOW"]))


@app.on_gap
def gap(sensor, reason, context):
    context.state["gap"] = [sensor, reason]
    if os.environ.get("TELL"):
        context.notify("gap", sensor)


@app.on_end
def end(context):
    context.state["ended"] = True
    context.notify("the end", f"{context.state['count']}")


@app.page("/")
def page(request):
    return f"<h1>{request.state.get('count')} at {request.url('x')}</h1>"


@app.page("/switch", methods=("POST",))
def switch(request):
    return {"id": app.command("fan", "switch", request.json(), device="fan-1")}


@app.page("/broken")
def broken(request):
    return 1 / 0


@app.live("/live", every=0.05)
def live(request):
    return {"count": request.state.get("count"), "limit": request.parameters["limit"]}


app.run(until_now="--task" in sys.argv, since="2026-01-01T00:00:00Z" if "--task" in sys.argv else None)
