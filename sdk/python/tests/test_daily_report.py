"""The sample application that runs to completion."""

import datetime
import json
import sys
import unittest

from iot_sdk import Member
from iot_sdk.messages import Reading

from .platform_server import Platform, reading
from .running import EXAMPLES, RunningCase

FOLDER = EXAMPLES / "daily-report"
sys.path.insert(0, str(FOLDER))
import report  # noqa: E402

LAB = "Building A / Lab"
MEMBERS = [Member("sensor-0", "North", LAB, "Cel"), Member("sensor-1", "South", LAB, "Cel")]


def counted(values, sensor="sensor-0", name="North", hours=24):
    """Returns the state after values, one an hour."""
    state = {}
    for index, value in enumerate(values):
        message = {**reading(1, value=value, sensor=sensor), "n": 1, "name": name}
        day, hour = divmod(index, 24)
        message["time"] = f"2026-01-{day + 1:02}T{hour:02}:30:00.000Z"
        report.add(state, Reading.parse(message), hours)
    return state


class DailyReport(RunningCase):
    def run_it(self, readings, parameters):
        platform = Platform(readings, task=True)
        before = datetime.datetime.now(datetime.timezone.utc)
        self.assert_exit(self.start(platform, script=FOLDER / "main.py", IOT_PARAMETERS=json.dumps(parameters)), 0)
        self.assertEqual(platform.paths[0]["until"], "now")
        begin = datetime.datetime.fromisoformat(platform.paths[0]["from"].replace("Z", "+00:00"))
        late = begin - (before - datetime.timedelta(hours=parameters["hours"]))
        self.assertLess(abs(late.total_seconds()), 60, "it begins so many hours before now")
        self.assertEqual(list(platform.actions), ["end/0"])
        return platform, platform.actions["end/0"], self.log.read_text()

    def test_reads_reports_and_ends(self):
        platform, sent, log = self.run_it([reading(600 * index) for index in range(1, 31)], {"hours": 12})
        self.assertEqual(sent["title"], "Report of Building A / Lab")
        self.assertIn("30 readings in the last 12 hours: 20.0 to 20.0 °C, mean 20.0 °C.", sent["text"])
        self.assertEqual(sent["severity"], "info")
        self.assertIn("2026-01-01 04:00     20.0  ██", log)
        self.assertEqual((platform.saved, len(platform.state["sensors"]["sensor-0"]["hours"])), (30, 6))

    def test_without_readings_it_says_so_and_ends(self):
        _, sent, log = self.run_it([], {"hours": 1})
        self.assertEqual(sent["text"], "No readings in the last hour. Nothing was heard of: Sensor 0.")
        self.assertEqual(sent["severity"], "warning")
        self.assertIn("No readings.", log)

    def test_the_manifest_fits(self):
        manifest = json.loads((FOLDER / "app.json").read_text())
        self.assertEqual((manifest["kind"], set(manifest["parameters"])), ("task", {"hours"}))


class Report(unittest.TestCase):
    def test_what_is_counted(self):
        sensor = counted([20.0, 22.0, 18.0])["sensors"]["sensor-0"]
        self.assertEqual(sensor["all"], [3, 20.0, 18.0, 22.0])
        self.assertEqual(sensor["hours"]["2026-01-01T01"], [1, 22.0, 22.0, 22.0])
        self.assertEqual(report.together([[1, 10.0, 10.0, 10.0], [3, 20.0, 18.0, 22.0]]), [4, 17.5, 10.0, 22.0])
        self.assertIsNone(report.together([[0, 0.0, 0.0, 0.0]]))

    def test_the_report(self):
        state = counted([20.0, 22.0, 18.0])
        text = report.lines(state, MEMBERS, LAB, 24)
        self.assertIn("North                                3    18.0    20.0     22.0", text)
        self.assertIn("Nothing was heard of: South.", text)
        self.assertEqual(
            text[-3:],
            [
                "2026-01-01 00:00     20.0  " + "█" * 15,
                "2026-01-01 01:00     22.0  " + "█" * 30,
                "2026-01-01 02:00     18.0  █",
            ],
        )
        state["sensors"].update(counted([30.0], "sensor-1", "South")["sensors"])
        self.assertIn(
            "all                                  4    18.0    22.5     30.0", report.lines(state, MEMBERS, LAB, 24)
        )

    def test_the_notification(self):
        title, text, severity = report.notification(counted([20.0]), MEMBERS, "x" * 300, 24)
        self.assertEqual((len(title), severity), (200, "warning"))
        expected = "1 reading in the last 24 hours: 20.0 to 20.0 °C, mean 20.0 °C.\nNothing was heard of: South."
        self.assertEqual(text, expected)
        state = {"sensors": {}}
        for index in range(64):
            state["sensors"].update(counted([20.0 + index], f"s{index}", f"Sensor {index:02}")["sensors"])
        _, text, severity = report.notification(state, [], LAB, 24)
        self.assertEqual(severity, "info")
        self.assertEqual(len(text.splitlines()), 22)
        self.assertIn("… and 44 more: see the log.", text)

    def test_the_state_keeps_its_size(self):
        values = [20.123456789 + index / 7 for index in range(300)]
        state = counted(values, hours=48)
        self.assertEqual(len(state["sensors"]["sensor-0"]["hours"]), 49)
        most = 64 * len(json.dumps(state))
        self.assertLess(most, 256 * 1024, "as many sensors as the manifest takes")


if __name__ == "__main__":
    unittest.main()
