"""Applications against the platform's side of the protocol."""

import http.client
import json
import signal
import urllib.request

from iot_sdk.pages import MOST_LIVE

from .platform_server import BINDING, Platform, reading
from .running import RunningCase, free_port


class Readings(RunningCase):
    def test_every_reading_is_counted_once_however_often_the_connection_is_lost(self):
        platform = Platform([reading(index) for index in range(1, 3001)], drop_every=700)
        process = self.start(platform, EVERY="100", SECONDS_="0.2")
        self.eventually(lambda: platform.saved == 3000, "3000 readings saved")
        self.assertEqual(platform.state["count"], 3000)
        self.assertEqual(platform.state["sum"], sum(range(1, 3001)))
        self.assertGreater(platform.session, 3)
        # Two actions for every tenth reading, each under one key with one content, whatever was repeated.
        self.assertEqual(len(platform.actions), 600)
        self.assertEqual(set(platform.actions), {f"0:{n}/{o}" for n in range(10, 3001, 10) for o in (0, 1)})
        process.send_signal(signal.SIGTERM)
        self.assert_exit(process, 0)

    def test_every_reading_is_counted_once_when_it_is_killed(self):
        platform = Platform([reading(index) for index in range(1, 2001)])
        for limit in (300, 900, 1500):
            process = self.start(platform, EVERY="50", SLOW="0.0005")
            self.eventually(lambda limit=limit: platform.saved >= limit, f"{limit} readings saved")
            process.kill()
            process.wait()
        self.start(platform)
        self.eventually(lambda: platform.saved == 2000, "2000 readings saved")
        self.assertEqual((platform.state["count"], platform.state["sum"]), (2000, sum(range(1, 2001))))
        self.assertEqual(len(platform.actions), 400)
        replicas = [path["replica"] for path in platform.paths]
        self.assertEqual(len(set(replicas)), 4)
        self.assertEqual(platform.paths[0]["shard"], "0")

    def test_what_is_consumed_is_saved_when_it_is_told_to_stop(self):
        platform = Platform([reading(index) for index in range(1, 51)])
        process = self.start(platform, EVERY="100000", SECONDS_="3600")
        self.eventually(lambda: len(platform.actions) == 10, "the last action")
        process.send_signal(signal.SIGTERM)
        self.assert_exit(process, 0)
        self.assertEqual((platform.saved, platform.state["count"], len(platform.checkpoints)), (50, 50, 1))

    def test_saves_by_number(self):
        platform = Platform([reading(index) for index in range(1, 451)])
        self.start(platform, SECONDS_="3600")
        self.eventually(lambda: platform.saved >= 400, "400 readings saved")
        saved = [0, *(checkpoint["n"] for checkpoint in platform.checkpoints)]
        self.assertTrue(all(after - before >= 200 for before, after in zip(saved, saved[1:])), saved)

    def test_saves_by_time(self):
        platform = Platform([reading(index) for index in range(1, 51)])
        self.start(platform, EVERY="100000")
        self.eventually(lambda: platform.saved == 50, "50 readings saved")

    def test_ends_when_a_newer_copy_has_taken_over(self):
        platform = Platform([reading(1)])
        process = self.start(platform)
        self.eventually(lambda: platform.session == 1, "a session")
        platform.fence.set()
        self.assert_exit(process, 75)

    def test_stands_by_and_takes_over(self):
        platform = Platform([reading(1)])
        platform.standby.set()
        port = free_port()
        self.start(platform, IOT_PORT=str(port))
        self.eventually(lambda: b'"standby": true' in get(port, "/healthz"), "standing by")
        platform.standby.clear()
        self.eventually(lambda: platform.saved == 1, "one reading saved")
        self.assertIn(b'"standby": false', get(port, "/healthz"))

    def test_a_task_ends(self):
        platform = Platform([reading(index) for index in range(1, 26)], task=True)
        process = self.start(platform, "--task")
        self.assert_exit(process, 0)
        self.assertEqual((platform.saved, platform.state["count"], platform.state["ended"]), (25, 25, True))
        self.assertEqual(platform.actions["end/0"], {"title": "the end", "text": "25", "severity": "info"})
        self.assertEqual((platform.paths[0]["until"], platform.paths[0]["from"]), ("now", "2026-01-01T00:00:00Z"))

    def test_a_task_without_readings_ends(self):
        platform = Platform(task=True)
        self.assert_exit(self.start(platform, "--task"), 0)
        self.assertEqual((platform.saved, platform.state["count"], platform.state["ended"]), (0, 0, True))
        self.assertEqual(list(platform.actions), ["end/0"])

    def test_a_gap_is_told(self):
        platform = Platform([reading(1)])
        platform.gap = {"sensor": "sensor-1", "lost": "retention"}
        self.start(platform)
        self.eventually(lambda: platform.saved == 1, "one reading saved")
        self.assertEqual(platform.state["gap"], ["sensor-1", "retention"])


class Failures(RunningCase):
    def test_a_failing_handler_ends_the_program_with_its_trace(self):
        platform = Platform([reading(index) for index in range(1, 21)])
        process = self.start(platform, FAIL_AT="15", SECONDS_="0")
        self.assert_exit(process, 1)
        self.assertIn("a reading that cannot be handled", self.log.read_text())
        self.assertLess(platform.saved, 15)
        self.assertEqual(platform.saved, (platform.state or {"count": 0})["count"])

    def test_or_is_skipped_where_that_was_wanted(self):
        platform = Platform([reading(index) for index in range(1, 21)])
        self.start(platform, FAIL_AT="15", ON_ERROR="skip")
        self.eventually(lambda: platform.saved == 20, "20 readings saved")
        self.assertEqual(platform.state["count"], 19)

    def test_a_state_that_is_too_large_is_said(self):
        process = self.start(Platform([reading(1)]), GROW="1")
        self.assert_exit(process, 1)
        self.assertIn("at most 262144 can be saved", self.log.read_text())

    def test_a_missing_environment_is_said(self):
        platform = Platform()
        process = self.start(platform, IOT_READINGS="")
        self.assert_exit(process, 78)
        self.assertIn("IOT_READINGS is not set", self.log.read_text())


class ActionsSent(RunningCase):
    def test_waits_with_the_same_key_and_saves_only_afterwards(self):
        def answers(number, path):
            return (503, {"Retry-After": "0"}, {"title": "starting"}) if number <= 3 else None

        platform = Platform([reading(index) for index in range(1, 11)], answers=answers)
        self.start(platform, EVERY="1")
        self.eventually(lambda: platform.saved == 10, "10 readings saved")
        keys = [request[1] for request in platform.requests]
        self.assertEqual(keys, ["0:10/0"] * 4 + ["0:10/1"])
        self.assertTrue(all(request[4] <= 9 for request in platform.requests), "sent before it was saved")
        path, _, session, body, _ = platform.requests[0]
        self.assertEqual((path, session), ("/v1/commands", "1"))
        self.assertEqual(body, {"slot": "fan", "command": "switch", "arguments": {"on": False}})
        self.assertIn("starting; trying again", self.log.read_text())

    def test_what_no_reading_causes_happens_once_in_each_session(self):
        platform = Platform()
        platform.gap = {"sensor": "sensor-1", "lost": "retention"}
        self.start(platform, TELL="1")
        expected = []
        for session in (1, 2):
            keys = ("open/{}/1/0", "once/the%20beginning%3A%20100%20%25", "open/{}/1/1")
            keys += ("gap/{}/2/0", "binding/{}/3/0", "binding/{}/4/0")
            expected += [key.format(session) for key in keys]
            sent = len(expected) - 2
            self.eventually(lambda sent=sent: len(platform.requests) == sent, f"{sent} actions")
            for _ in range(2):
                platform.peer.send({"type": "binding", "binding": BINDING})
            self.eventually(lambda sent=sent: len(platform.requests) == sent + 2, f"{sent + 2} actions")
            # Saved although there is no reading: the next session begins with it.
            self.eventually(lambda session=session: (platform.state or {}).get("opened") == session, "the state")
            platform.drop()
        self.assertEqual([request[1] for request in platform.requests][: len(expected)], expected)
        self.assertEqual(platform.saved, 0)
        twice = [key for key in set(expected) if expected.count(key) > 1]
        self.assertEqual(len(twice), 1, "what may happen once only has one key in both sessions")

    def test_an_older_session_ends(self):
        platform = Platform([reading(10)], answers=lambda *_: (409, {}, {"title": "older session"}))
        self.assert_exit(self.start(platform), 75)
        self.assertEqual(platform.saved, 0)

    def test_a_refusal_is_an_error_of_the_application(self):
        platform = Platform([reading(10)], answers=lambda *_: (422, {}, {"title": "x", "detail": "no slot `fan`"}))
        self.assert_exit(self.start(platform), 1)
        self.assertIn("ActionRefused: no slot `fan`", self.log.read_text())

    def test_stops_although_an_action_cannot_be_sent(self):
        platform = Platform([reading(index) for index in range(1, 11)], answers=lambda *_: (503, {}, {}))
        process = self.start(platform, EVERY="1", STOP="0.3")
        self.eventually(lambda: platform.requests, "a request")
        process.send_signal(signal.SIGTERM)
        self.assert_exit(process, 0)
        self.assertLess(platform.saved, 10)


def get(port, path, headers=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.read()
    except OSError:
        return b""


class PagesServed(RunningCase):
    def setUp(self):
        super().setUp()
        self.platform = Platform([reading(index) for index in range(1, 6)])
        self.port = free_port()
        self.start(self.platform, IOT_PORT=str(self.port))
        self.eventually(lambda: self.platform.saved == 5, "5 readings saved")

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        self.addCleanup(connection.close)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode(), response

    def test_a_page_sees_the_state_and_where_it_is_served(self):
        status, text, response = self.ask("GET", "/?x=1", headers={"X-Forwarded-Prefix": "/a/b/"})
        self.assertEqual((status, text), (200, "<h1>5 at /a/b/x</h1>"))
        self.assertEqual(response.getheader("Content-Type"), "text/html; charset=utf-8")
        self.assertEqual(self.ask("HEAD", "/")[:2], (200, ""))
        self.assertEqual(json.loads(self.ask("GET", "/healthz")[1]), {"ok": True, "session": 1, "standby": False})

    def test_what_is_not_there_is_said(self):
        self.assertEqual(self.ask("GET", "/nothing")[0], 404)
        self.assertEqual(self.ask("POST", "/", b"")[0], 405)
        self.assertEqual(self.ask("POST", "/switch", headers={"Content-Length": "9999999"})[0], 413)
        self.assertEqual(self.ask("GET", "/broken")[0], 500)
        self.assertIn("ZeroDivisionError", self.log.read_text())

    def test_a_page_may_act(self):
        status, text, _ = self.ask("POST", "/switch", b'{"on": true}')
        self.assertEqual(status, 200)
        key, body = next(iter(self.platform.actions.items()))
        self.assertTrue(key.startswith("page/"))
        self.assertEqual(json.loads(text), {"id": f"id-of-{key}"})
        self.assertEqual(body, {"slot": "fan", "command": "switch", "arguments": {"on": True}, "device": "fan-1"})

    def test_live_data_comes_when_it_has_changed(self):
        self.assertEqual(json.loads(self.ask("GET", "/live?once")[1]), {"count": 5, "limit": 3})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        self.addCleanup(connection.close)
        connection.request("GET", "/live")
        response = connection.getresponse()
        self.assertEqual(response.getheader("Content-Type"), "text/event-stream")
        self.assertEqual(response.readline(), b'data: {"count": 5, "limit": 3}\n')
        self.platform.readings.append(reading(6))
        self.assertEqual(response.readline(), b"\n")
        self.assertEqual(response.readline(), b'data: {"count": 6, "limit": 3}\n')

    def test_who_leaves_makes_room_for_others_at_once(self):
        for _ in range(2 * MOST_LIVE):
            self.assertEqual(self.leave_after_one_event(), b'data: {"count": 5, "limit": 3}\n')

    def leave_after_one_event(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", "/live")
        response = connection.getresponse()
        line = response.readline()
        response.close()
        connection.close()
        return line
