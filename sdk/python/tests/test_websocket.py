"""The WebSocket client: frames by table, connections by a server on a real socket."""

import struct
import threading
import unittest

from iot_sdk.websocket import (
    ConnectionClosed,
    HandshakeError,
    Parser,
    ProtocolError,
    WebSocket,
    close_code,
    encode,
    masked,
)

from .platform_server import Listener, server_frame


class Frames(unittest.TestCase):
    def test_lengths(self):
        for size in (0, 1, 125, 126, 127, 65535, 65536, 200_000):
            payload = b"a" * size
            self.assertEqual(list(Parser().feed(server_frame(1, payload))), [(1, payload)])

    def test_byte_by_byte_and_all_at_once(self):
        data = (
            server_frame(1, b"one, ", final=False)
            + server_frame(9, b"ping")
            + server_frame(0, b"two, ", final=False)
            + server_frame(0, "drei €".encode())
            + server_frame(1, b"next")
        )
        expected = [(9, b"ping"), (1, "one, two, drei €".encode()), (1, b"next")]
        self.assertEqual(list(Parser().feed(data)), expected)
        parser = Parser()
        found = [message for byte in data for message in parser.feed(bytes([byte]))]
        self.assertEqual(found, expected)

    def test_a_character_may_be_split_between_fragments(self):
        euro = "€".encode()
        data = server_frame(1, euro[:1], final=False) + server_frame(0, euro[1:])
        self.assertEqual(list(Parser().feed(data)), [(1, euro)])

    def test_what_is_not_allowed(self):
        for data, code in (
            (bytes([0xC1, 0]), 1002),  # reserved bit
            (bytes([0x81, 0x80, 0, 0, 0, 0]), 1002),  # masked by the server
            (bytes([0x83, 0]), 1002),  # unknown opcode
            (bytes([0x09, 0]), 1002),  # fragmented control frame
            (bytes([0x89, 126, 0, 126]), 1002),  # long control frame
            (server_frame(0, b"x"), 1002),  # continuation of nothing
            (server_frame(1, b"x", final=False) + server_frame(1, b"y"), 1002),
            (server_frame(1, b"\xff"), 1007),
            (bytes([0x81, 127]) + struct.pack("!Q", 1 << 40), 1009),
        ):
            with self.subTest(data=data), self.assertRaises(ProtocolError) as caught:
                list(Parser().feed(data))
            self.assertEqual(caught.exception.code, code)

    def test_fragments_together_may_not_be_too_large(self):
        parser = Parser(largest=10)
        list(parser.feed(server_frame(1, b"12345678", final=False)))
        with self.assertRaises(ProtocolError) as caught:
            list(parser.feed(server_frame(0, b"12345678")))
        self.assertEqual(caught.exception.code, 1009)

    def test_close_codes(self):
        self.assertEqual(close_code(b""), (1005, ""))
        self.assertEqual(close_code(struct.pack("!H", 4409) + b"newer"), (4409, "newer"))
        for payload in (b"\x03", *(struct.pack("!H", code) for code in (0, 999, 1004, 1005, 1006, 1015, 2000, 5000))):
            with self.subTest(payload=payload), self.assertRaises(ProtocolError):
                close_code(payload)

    def test_masks(self):
        key = bytes([1, 2, 3, 250])
        for size in (0, 1, 2, 3, 4, 5, 1023):
            payload = bytes(index % 256 for index in range(size))
            self.assertEqual(masked(payload, key), bytes(byte ^ key[i % 4] for i, byte in enumerate(payload)))
        frame = encode(1, b"hello")
        self.assertEqual((frame[0], frame[1]), (0x81, 0x85))
        self.assertEqual(masked(frame[6:], frame[2:6]), b"hello")
        self.assertEqual(encode(1, b"x" * 126)[1:4], bytes([0xFE, 0, 126]))
        self.assertEqual(encode(1, b"x" * 65536)[1:10], bytes([0xFF]) + struct.pack("!Q", 65536))


class Connections(unittest.TestCase):
    def serve(self, handle):
        self.received = []
        self.done = threading.Event()

        def wrapped(peer):
            try:
                handle(peer)
            finally:
                self.done.set()

        listener = Listener(wrapped)
        self.addCleanup(listener.close)
        return listener.address

    def closed(self, socket):
        messages = []
        with self.assertRaises(ConnectionClosed) as caught:
            messages.extend(socket.messages())
        return messages, caught.exception

    def drain(self, peer):
        while True:
            self.received.append(peer.receive())

    def test_a_conversation(self):
        def handle(peer):
            peer.accept()
            peer.send_raw(server_frame(9, b"are you there?"))
            self.received.append(peer.receive())
            self.received.append(peer.receive())
            peer.send_raw(server_frame(1, b"bye"))
            peer.send_raw(server_frame(8, struct.pack("!H", 4409) + b"newer session"))
            self.drain(peer)

        socket = WebSocket.connect(self.serve(handle) + "/path?a=b", {"Authorization": "Bearer x"})
        threading.Timer(0.1, socket.send_text, ["grüße"]).start()
        messages = []
        with self.assertRaises(ConnectionClosed) as caught:
            for message in socket.messages():
                messages.append(message)
        self.assertEqual(messages, ["bye"])
        self.assertEqual((caught.exception.code, caught.exception.reason), (4409, "newer session"))
        self.assertTrue(self.done.wait(5))
        pong, text, close = self.received
        self.assertEqual(pong, (10, b"are you there?"))
        self.assertEqual(text, (1, "grüße".encode()))
        self.assertEqual(close, (8, struct.pack("!H", 4409)))

    def test_frames_that_come_with_the_answer(self):
        def handle(peer):
            accept, sent = peer.connection, []
            peer.connection = type("Gather", (), {"sendall": lambda _, data: sent.append(data)})()
            peer.accept()
            peer.connection = accept
            accept.sendall(b"".join(sent) + server_frame(1, b"early"))
            self.drain(peer)

        socket = WebSocket.connect(self.serve(handle))
        self.assertEqual(next(socket.messages()), "early")
        socket.close()
        self.assertTrue(self.done.wait(5))
        self.assertEqual(self.received, [(8, struct.pack("!H", 1000))])

    def test_a_breach_is_answered_with_its_code(self):
        def handle(peer):
            peer.accept()
            peer.send_raw(server_frame(1, b"\xff"))
            self.drain(peer)

        _, error = self.closed(WebSocket.connect(self.serve(handle)))
        self.assertEqual(error.code, 1007)
        self.assertTrue(self.done.wait(5))
        self.assertEqual(struct.unpack("!H", self.received[0][1][:2]), (1007,))

    def test_a_lost_connection_is_noticed(self):
        _, error = self.closed(WebSocket.connect(self.serve(lambda peer: peer.accept())))
        self.assertEqual(error.code, 1006)

    def test_a_silent_server_is_asked_and_then_given_up(self):
        def handle(peer):
            peer.accept()
            self.drain(peer)

        _, error = self.closed(WebSocket.connect(self.serve(handle), idle_seconds=0.1))
        self.assertEqual((error.code, error.reason), (1006, "the server does not answer"))
        self.assertEqual(self.received[0], (9, b""))

    def test_refusals(self):
        for answer, expected in (
            (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\nwhose", "401"),
            (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "not that of"),
            (b"SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP"),
            (b"", "closed the connection"),
            (b"HTTP/1.1 101 x\r\nx: " + b"y" * 20000 + b"\r\n", "too long"),
        ):
            address = self.serve(lambda peer, answer=answer: peer.connection.sendall(answer))
            with self.subTest(answer=answer[:30]), self.assertRaisesRegex(HandshakeError, expected):
                WebSocket.connect(address)
        with self.assertRaises(HandshakeError):
            WebSocket.connect("http://localhost/")
