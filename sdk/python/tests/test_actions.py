"""Actions over a connection that the platform closes when it likes."""

import http.server
import logging
import os
import tempfile
import threading
import unittest

from iot_sdk.actions import ActionRefused, Actions
from iot_sdk.settings import Settings


class Closing(http.server.BaseHTTPRequestHandler):
    """Answers once on each connection, promises to keep it, and closes it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        """Takes an action."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.keys.append(self.headers["Idempotency-Key"])
        content = b'{"id": "n"}'
        self.send_response(202)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True

    def do_GET(self):
        """Knows no command: another copy of the platform took it."""
        content = b'{"title": "no such command"}'
        self.send_response(404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True

    def finish(self):
        """Closes, and tells that it did."""
        super().finish()
        self.request.close()
        self.server.closed.set()

    def log_message(self, *_arguments):
        """Says nothing."""


class KeptConnections(unittest.TestCase):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Closing)
        self.server.keys, self.server.closed = [], threading.Event()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        descriptor, self.token = tempfile.mkstemp()
        os.write(descriptor, b"token")
        os.close(descriptor)

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()
        os.unlink(self.token)

    def actions(self) -> Actions:
        """Actions of an application that holds session 1."""
        address = f"http://127.0.0.1:{self.server.server_port}"
        actions = Actions(Settings(readings=address, actions=address, token_file=self.token), lambda _seconds: True)
        actions.session = 1
        self.addCleanup(actions.close)
        return actions

    def test_a_command_that_another_copy_took_is_queued_until_all_know_it(self):
        actions = self.actions()
        sent = actions.command("k", {"slot": "fan", "command": "switch", "arguments": {}})
        self.assertEqual(actions.command_state(sent), {"id": sent, "state": "queued"})
        with self.assertRaises(ActionRefused):
            actions.command_state("another")

    def test_a_connection_that_was_closed_while_idle_is_no_trouble(self):
        actions = self.actions()
        lines = []
        handler = logging.Handler()
        handler.emit = lambda record: lines.append(record.getMessage())
        logging.getLogger("iot_sdk").addHandler(handler)
        self.addCleanup(logging.getLogger("iot_sdk").removeHandler, handler)
        for key in ("a", "b", "c"):
            self.server.closed.clear()
            self.assertEqual(actions.notify(key, "title", "text", "info"), "n")
            self.assertTrue(self.server.closed.wait(5))
        self.assertEqual(self.server.keys, ["a", "b", "c"])
        self.assertEqual(lines, [])


if __name__ == "__main__":
    unittest.main()
