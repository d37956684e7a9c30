"""Reports what the last hours were like, then ends: see app.json for what it needs."""

from datetime import timedelta

import report
from iot_sdk import Application

app = Application()


@app.on_reading("temperature")
def on_temperature(reading, context):
    """Counts the reading."""
    report.add(context.state, reading, context.parameters["hours"])


@app.on_end
def on_end(context):
    """Writes the report to the log, and sends its summary."""
    arguments = context.state, context.binding["temperature"], context.location, context.parameters["hours"]
    print("\n".join(report.lines(*arguments)))
    title, text, severity = report.notification(*arguments)
    context.notify(title, text, severity=severity)


if __name__ == "__main__":
    app.run(until_now=True, since=lambda parameters: timedelta(hours=parameters["hours"]))
