"""The program that the guide has its readers write."""

import json
import pathlib
import tempfile
import unittest

from .platform_server import Platform, reading
from .running import SDK, RunningCase

GUIDE = SDK.parent.parent / "docs" / "getting-started.md"


def written(name):
    """Returns what the guide writes into a file of that name."""
    _, text = GUIDE.read_text(encoding="utf-8").split(f"cat > {name} <<'END'\n")
    return text.split("\nEND\n")[0] + "\n"


class GettingStarted(RunningCase):
    def test_the_lamp_is_on_while_it_is_cold(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        script = pathlib.Path(folder.name) / "main.py"
        script.write_text(written("main.py"), encoding="utf-8")
        manifest = json.loads(written("app.json"))
        parameters = {name: parameter["default"] for name, parameter in manifest["parameters"].items()}
        values = [22.0, 19.0, 18.5, 21.0]
        platform = Platform([reading(n, value=value, sensor="sensor-0") for n, value in enumerate(values, 1)])
        self.start(platform, script=script, IOT_PARAMETERS=json.dumps(parameters))
        self.eventually(lambda: len(platform.actions) == 3, "three commands")
        self.assertEqual([body["arguments"]["on"] for body in platform.actions.values()], [False, True, False])
        self.assertTrue(all(body["slot"] in manifest["slots"] for body in platform.actions.values()))
        self.assertIn("lamp on: Sensor-0 has 19.0 degrees", self.log.read_text())


if __name__ == "__main__":
    unittest.main()
