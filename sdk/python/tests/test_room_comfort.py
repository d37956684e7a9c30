"""The sample application."""

import datetime
import json
import signal
import sys
import unittest

from .platform_server import Platform, reading
from .running import EXAMPLES, RunningCase, free_port
from .test_application import get

FOLDER = EXAMPLES / "room-comfort"
sys.path.insert(0, str(FOLDER))
import comfort  # noqa: E402

PARAMETERS = '{"target": 22, "hysteresis": 0.5, "threshold": 26}'


class RoomComfort(RunningCase):
    def test_switches_notifies_and_counts(self):
        values = [21.0, 22.3, 22.6, 22.0, 27.0, 25.8, 27.0, 25.0, 26.5, 21.0]
        readings = [reading(index, value=value, sensor="sensor-0") for index, value in enumerate(values, 1)]
        readings += [reading(5, value=21.0, sensor="sensor-0")]  # earlier than the one before
        platform = Platform(readings)
        port = free_port()
        process = self.start(platform, script=FOLDER / "main.py", IOT_PARAMETERS=PARAMETERS, IOT_PORT=str(port))
        self.eventually(lambda: b'"count": 11' in get(port, "/live?once"), "11 readings counted")
        self.assertIn(b'new EventSource("live")', get(port, "/"))
        live = json.loads(get(port, "/live?once"))
        self.assertEqual((live["count"], live["fan"], live["location"]), (11, ["Ceiling fan"], "Building A / Lab"))
        process.send_signal(signal.SIGTERM)
        self.assert_exit(process, 0)
        state = platform.state
        self.assertEqual((state["count"], state["out_of_order"], state["switched"]), (11, 1, 3))
        sensor = state["sensors"]["sensor-0"]
        self.assertEqual((sensor["count"], sensor["min"], sensor["max"]), (11, 21.0, 27.0))
        self.assertAlmostEqual(sensor["mean"], sum([*values, 21.0]) / 11)
        bodies = list(platform.actions.values())
        self.assertEqual(
            [body["arguments"]["on"] for body in bodies if "slot" in body], [False, True, False], "the fan's commands"
        )
        titles = [body["title"] for body in bodies if "title" in body]
        self.assertEqual(titles, ["Sensor-0 is too warm"] * 2, "once per crossing")

    def test_the_manifest_is_complete(self):
        manifest = json.loads((FOLDER / "app.json").read_text())
        self.assertEqual(manifest["start"], ["python", "main.py"])
        self.assertEqual(set(manifest["parameters"]), {"target", "hysteresis", "threshold"})


class Comfort(unittest.TestCase):
    def test_between_the_limits_the_fan_stays_as_it_is(self):
        for on in (True, False, None):
            for value, expected in ((22.6, True), (22.5, bool(on)), (21.5, bool(on)), (21.4, False)):
                state = {"sensors": {"a": {"last": value}}, "fan_on": on}
                self.assertEqual(comfort.wanted(state, 22, 0.5), expected)

    def test_the_chart_keeps_its_size(self):
        class Parsed:
            def __init__(self, index):
                self.sensor, self.name, self.location, self.value = "a", "a", "x", 20
                self.moment = datetime.datetime.fromtimestamp(index, datetime.timezone.utc)
                self.time = self.moment.isoformat()

        state = comfort.empty()
        for index in range(3000):
            comfort.count(state, Parsed(index))
        self.assertEqual(len(state["chart"]), comfort.CHART_POINTS)
        self.assertLess(len(json.dumps(state)), 10_000)


if __name__ == "__main__":
    unittest.main()
