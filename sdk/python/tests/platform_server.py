"""The platform's side of the protocol, on real sockets: readings and checkpoints by WebSocket, actions by HTTP.

It forgets nothing that was acknowledged and delivers again whatever was not, as the platform does; and it can be told
to misbehave.
"""

import base64
import contextlib
import hashlib
import http.server
import json
import socket
import struct
import sys
import threading
import time
import urllib.parse

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def server_frame(opcode, payload, final=True):
    length = len(payload)
    head = bytes([(0x80 if final else 0) | opcode])
    if length < 126:
        return head + bytes([length]) + payload
    if length < 65536:
        return head + struct.pack("!BH", 126, length) + payload
    return head + struct.pack("!BQ", 127, length) + payload


class Peer:
    """The server's end of one WebSocket."""

    def __init__(self, connection):
        self.connection = connection
        self.file = connection.makefile("rb")
        request = self.file.readline().decode().split()
        self.path = request[1]
        self.headers = {}
        while True:
            line = self.file.readline().decode().strip()
            if not line:
                break
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        self.lock = threading.Lock()

    def accept(self):
        accept = base64.b64encode(hashlib.sha1((self.headers["sec-websocket-key"] + GUID).encode()).digest()).decode()
        self.connection.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )

    def send_raw(self, data):
        with self.lock:
            self.connection.sendall(data)

    def send(self, message):
        self.send_raw(server_frame(1, json.dumps(message).encode()))

    def receive(self):
        """Returns opcode and payload; raises ConnectionError at the end. Every frame of a client must be masked."""
        head = self._exactly(2)
        assert head[1] & 0x80, "a client must mask"
        length = head[1] & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._exactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._exactly(8))
        key = self._exactly(4)
        payload = bytes(byte ^ key[index % 4] for index, byte in enumerate(self._exactly(length)))
        return head[0] & 0x0F, payload

    def _exactly(self, size):
        data = self.file.read(size)
        if len(data) < size:
            raise ConnectionError("the client has gone")
        return data

    def close(self):
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.file.close()
        self.connection.close()


class Listener:
    """Accepts WebSockets and handles each in a thread of its own."""

    def __init__(self, handle):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"ws://127.0.0.1:{self.socket.getsockname()[1]}"
        self.handle = handle
        self.peers = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError, ValueError):
            peer = Peer(connection)
            self.peers.append(peer)
            try:
                self.handle(peer)
            finally:
                peer.close()

    def close(self):
        self.socket.close()
        for peer in self.peers:
            peer.close()


def reading(index, slot="temperature", value=None, sensor=None):
    sensor = sensor or f"sensor-{index % 3}"
    return {
        "type": "reading",
        "position": f"0:{index}",
        "slot": slot,
        "sensor": sensor,
        "name": sensor.title(),
        "location": "Building A / Lab",
        "time": f"2026-01-01T{index // 3600:02}:{index // 60 % 60:02}:{index % 60:02}.000Z",
        "values": {slot: 20.0 + index % 10 if value is None else value},
    }


BINDING = {
    "slots": {
        "temperature": {
            "kind": "sensor",
            "members": [{"id": "sensor-0", "name": "Sensor 0", "location": "Building A / Lab", "unit": "Cel"}],
        },
        "fan": {"kind": "device", "members": [{"id": "fan-1", "name": "Ceiling fan", "location": "Building A / Lab"}]},
    }
}


class HttpServer(http.server.ThreadingHTTPServer):
    """Has nothing to say when a client goes away."""

    def handle_error(self, request, client_address):
        """Says what went wrong, but for a connection that was lost."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Platform:
    """One instance's stream and actions."""

    def __init__(self, readings=(), drop_every=None, task=False, answers=None):
        self.readings = list(readings)
        self.drop_every = drop_every
        self.task = task
        self.answers = answers  # (number of request, path) -> (status, headers, body) or None for 202
        self.lock = threading.Lock()
        self.session = 0
        self.saved, self.state = 0, None
        self.checkpoints = []
        self.paths = []
        self.requests = []  # (path, key, session, body, saved when it came)
        self.actions = {}
        self.peer = None  # the one that holds the session
        self.fence = threading.Event()
        self.standby = threading.Event()
        self.gap = None
        self.listener = Listener(self._stream)
        platform = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                platform._on_action(self)

            def do_GET(self):
                platform._answer(self, 200, {}, {"id": self.path.rsplit("/", 1)[1], "state": "acknowledged"})

            def log_message(self, *_):
                pass

        self.http = HttpServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def environment(self):
        return {
            "IOT_READINGS": self.listener.address,
            "IOT_ACTIONS": f"http://127.0.0.1:{self.http.server_address[1]}",
        }

    def close(self):
        self.listener.close()
        self.http.shutdown()
        self.http.server_close()

    def drop(self):
        """Ends the connection of the session, as a restarted service does."""
        self.peer.close()

    def _on_action(self, request):
        length = int(request.headers["Content-Length"])
        sent = request.rfile.read(length)
        if len(sent) < length:  # whoever asked was killed meanwhile
            request.close_connection = True
            return
        body = json.loads(sent)
        key = request.headers["Idempotency-Key"]
        self.requests.append((request.path, key, request.headers["X-Session"], body, self.saved))
        answer = self.answers(len(self.requests), request.path) if self.answers else None
        if request.headers["Authorization"] != "Bearer s3cret":
            answer = (401, {}, {"title": "unknown token"})
        if answer is None:
            previous = self.actions.setdefault(key, body)
            assert previous == body, "one key, two actions"
            answer = (202, {}, {"id": f"id-of-{key}"})
        self._answer(request, *answer)

    def _answer(self, request, status, headers, body):
        content = json.dumps(body).encode()
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content)

    def _stream(self, peer):
        self.paths.append(dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(peer.path).query)))
        assert urllib.parse.urlsplit(peer.path).path == "/v1/stream"
        assert peer.headers["authorization"] == "Bearer s3cret"
        peer.accept()
        while self.standby.is_set():
            peer.send({"type": "standby"})
            time.sleep(0.05)
        with self.lock:
            self.session += 1
            session, start = self.session, self.saved
        peer.send({"type": "opened", "session": session, "state": self.state, "carried": False, "binding": BINDING})
        self.peer = peer
        window = threading.Semaphore(5000)
        threading.Thread(target=self._checkpoints_of, args=(peer, session, start, window), daemon=True).start()
        if self.gap:
            peer.send({"type": "gap", **self.gap})
        index = start
        # What lies beyond the saved part of a dropped session is delivered again to the next one.
        last = start + self.drop_every + self.drop_every // 10 if self.drop_every else None
        while True:
            if self.fence.is_set():
                peer.send({"type": "fenced"})
                peer.send_raw(server_frame(8, struct.pack("!H", 4409)))
                return
            if session != self.session:
                return
            if self.drop_every and self.saved - start >= self.drop_every:
                return
            if index < min(len(self.readings), last or len(self.readings)):
                window.acquire(timeout=10)
                index += 1
                peer.send({**self.readings[index - 1], "n": index - start})
            elif self.task:
                self.task = False
                peer.send({"type": "end"})
            else:
                time.sleep(0.01)

    def _checkpoints_of(self, peer, session, start, window):
        with contextlib.suppress(OSError, ValueError):
            while True:
                opcode, payload = peer.receive()
                if opcode != 1:
                    continue
                message = json.loads(payload)
                assert message["type"] == "checkpoint"
                with self.lock:
                    if session != self.session:
                        return
                    self.checkpoints.append(message)
                    for _ in range(start + message["n"] - self.saved):
                        window.release()
                    self.saved, self.state = start + message["n"], message["state"]
                peer.send({"type": "checkpointed", "n": message["n"]})
