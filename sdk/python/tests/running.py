"""Runs an application as the platform does: a process with an environment."""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).parent
SDK = HERE.parent
EXAMPLES = SDK.parent / "examples"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class RunningCase(unittest.TestCase):
    """A test that starts applications."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.token = pathlib.Path(folder.name) / "token"
        self.token.write_text("s3cret\n")
        self.log = pathlib.Path(folder.name) / "log"

    def start(self, platform, *arguments, script=HERE / "apps" / "counter.py", **environment):
        self.addCleanup(platform.close)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-W", "error", str(script), *arguments],
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(SDK),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "IOT_TOKEN_FILE": str(self.token),
                    "IOT_LOCATION": "Building A / Lab",
                    "IOT_PARAMETERS": '{"limit": 3}',
                    **platform.environment,
                    **environment,
                },
                stdout=log,
                stderr=log,
            )
        self.addCleanup(self._end, process)
        return process

    def _end(self, process):
        process.kill()
        process.wait()

    def eventually(self, condition, what, seconds=60):
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                self.fail(f"not within {seconds} s: {what}\n{self.log.read_text()}")
            time.sleep(0.01)

    def assert_exit(self, process, status):
        try:
            found = process.wait(60)
        except subprocess.TimeoutExpired:
            found = "nothing"
        self.assertEqual(found, status, self.log.read_text())
