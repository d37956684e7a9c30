"""Checkpoints, settings, messages."""

import datetime
import unittest

from iot_sdk.application import Application, _moment
from iot_sdk.checkpoints import Checkpoints
from iot_sdk.context import Context
from iot_sdk.messages import Binding, Reading
from iot_sdk.settings import Parameters, Settings, SettingsError

from .platform_server import BINDING, reading


class CheckpointsDue(unittest.TestCase):
    def test_by_number(self):
        checkpoints = Checkpoints(every=3, seconds=1.0)
        self.assertFalse(checkpoints.due(0.0))
        self.assertIsNone(checkpoints.wait(0.0))
        checkpoints.consume(2, 0.0)
        self.assertFalse(checkpoints.due(0.0))
        checkpoints.consume(3, 0.0)
        self.assertTrue(checkpoints.due(0.0))
        self.assertEqual(checkpoints.send(), 3)
        self.assertFalse(checkpoints.complete)
        checkpoints.answered(1)
        self.assertTrue(checkpoints.complete)

    def test_by_time(self):
        checkpoints = Checkpoints(every=3, seconds=1.0)
        checkpoints.consume(1, 10.0)
        self.assertEqual(checkpoints.wait(10.25), 0.75)
        self.assertFalse(checkpoints.due(10.9))
        self.assertTrue(checkpoints.due(11.0))

    def test_one_on_its_way(self):
        checkpoints = Checkpoints(every=1, seconds=1.0)
        checkpoints.consume(1, 0.0)
        checkpoints.send()
        checkpoints.consume(2, 0.0)
        self.assertFalse(checkpoints.due(5.0))
        self.assertIsNone(checkpoints.wait(5.0))
        checkpoints.answered(1)
        self.assertTrue(checkpoints.due(5.0))

    def test_a_change_between_two_readings_is_saved(self):
        checkpoints = Checkpoints(every=10, seconds=1.0)
        self.assertTrue(checkpoints.complete)
        for answers in (1, 2):
            checkpoints.touch(0.0)
            self.assertFalse(checkpoints.due(0.9))
            self.assertTrue(checkpoints.due(1.0))
            self.assertEqual(checkpoints.send(), 0)
            self.assertFalse(checkpoints.complete)
            checkpoints.answered(answers)
            self.assertTrue(checkpoints.complete)


ENVIRONMENT = {"IOT_READINGS": "ws://h:1", "IOT_ACTIONS": "http://h:2", "IOT_TOKEN_FILE": "/nowhere"}


class SettingsRead(unittest.TestCase):
    def test_says_what_is_wrong(self):
        for change, expected in (
            ({"IOT_ACTIONS": ""}, "IOT_ACTIONS is not set"),
            ({"IOT_PARAMETERS": "{"}, "not JSON"),
            ({"IOT_PARAMETERS": "[]"}, "must be a JSON object"),
            ({"IOT_PORT": "http"}, "must be a number"),
        ):
            with self.subTest(change), self.assertRaisesRegex(SettingsError, expected):
                Settings.from_environment({**ENVIRONMENT, **change})
        settings = Settings.from_environment(ENVIRONMENT)
        self.assertNotEqual(settings.replica, Settings.from_environment(ENVIRONMENT).replica)
        with self.assertRaisesRegex(SettingsError, "token could not be read"):
            settings.token()

    def test_a_missing_parameter_names_the_others(self):
        with self.assertRaisesRegex(KeyError, "no parameter `targt`: the manifest has target"):
            Parameters({"target": 1})["targt"]


class Messages(unittest.TestCase):
    def test_a_reading(self):
        parsed = Reading.parse({**reading(1, value=21.5), "n": 1})
        self.assertEqual(parsed.value, 21.5)
        self.assertEqual(parsed.moment, datetime.datetime(2026, 1, 1, 0, 0, 1, tzinfo=datetime.timezone.utc))
        several = Reading.parse({**reading(1), "n": 1, "slot": "climate", "values": {"a": 1, "b": 2}})
        with self.assertRaisesRegex(ValueError, "choose one of a, b"):
            _ = several.value

    def test_a_binding(self):
        binding = Binding.parse(BINDING)
        self.assertEqual(binding["fan"][0].name, "Ceiling fan")
        self.assertEqual(binding["nothing"], [])

    def test_where_to_begin(self):
        moment = datetime.datetime(2026, 1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
        self.assertEqual(_moment(moment), "2026-01-01T00:00:00.000Z")
        with self.assertRaises(ValueError):
            _moment(datetime.datetime(2026, 1, 1))

    def test_names_of_what_happens_once(self):
        keys = []

        class Actions:
            def notify(self, key, *_):
                keys.append(key)

        context = Context(Settings.from_environment(ENVIRONMENT), Actions())
        context.begin("0:7")
        context.notify("a")
        context.notify("b", once="Höchstwert")
        context.notify("c")
        self.assertEqual(keys, ["0:7/0", "once/H%C3%B6chstwert", "0:7/1"])
        for name in ("", "x" * 196, "ü" * 40):
            with self.subTest(name), self.assertRaisesRegex(ValueError, "allowed are 1 to 195 characters"):
                context.notify("d", once=name)

    def test_wrong_use_is_said(self):
        app = Application()
        with self.assertRaisesRegex(TypeError, "write @app.on_reading"):
            app.on_reading(lambda reading, context: None)
        with self.assertRaisesRegex(ValueError, "must begin with /"):
            app.page("x")
        with self.assertRaises(ValueError):
            Application(on_error="ignore")
