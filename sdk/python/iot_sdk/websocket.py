"""A WebSocket client (RFC 6455): as much of it as the stream of readings needs, and that much strictly.

`Parser` and `encode` know nothing of sockets; `WebSocket` joins them to one.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import struct
import threading
import urllib.parse
from collections.abc import Iterator

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
LARGEST_MESSAGE = 4 * 1024 * 1024
LARGEST_HEAD = 16 * 1024


class HandshakeError(Exception):
    """The server did not open a WebSocket."""

    def __init__(self, status: int, text: str):
        super().__init__(f"the server answered {status}: {text}" if status else text)
        self.status = status


class ConnectionClosed(Exception):
    """The connection has ended, with a close code (1006 when there was none)."""

    def __init__(self, code: int, reason: str = ""):
        super().__init__(f"connection closed ({code}{': ' + reason if reason else ''})")
        self.code = code
        self.reason = reason


class ProtocolError(Exception):
    """The other side broke the protocol; `code` is what to close with."""

    def __init__(self, code: int, text: str):
        super().__init__(text)
        self.code = code


def masked(payload: bytes, key: bytes) -> bytes:
    """Applies a mask (and takes it off again)."""
    if not payload:
        return b""
    stream = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(payload), "big")


def encode(opcode: int, payload: bytes, final: bool = True) -> bytes:
    """Returns a frame of a client: always masked."""
    head = bytes([(0x80 if final else 0) | opcode])
    length = len(payload)
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 65536:
        head += struct.pack("!BH", 0x80 | 126, length)
    else:
        head += struct.pack("!BQ", 0x80 | 127, length)
    key = os.urandom(4)
    return head + key + masked(payload, key)


class Parser:
    """Turns bytes of a server into messages and control frames: `(opcode, payload)`."""

    def __init__(self, largest: int = LARGEST_MESSAGE):
        self._buffer = bytearray()
        self._largest = largest
        self._kind: int | None = None
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Takes bytes in; yields what is complete. Text is checked to be UTF-8."""
        self._buffer += data
        start = 0
        try:
            while True:
                frame = self._frame(start)
                if frame is None:
                    return
                final, opcode, payload, start = frame
                message = self._assemble(final, opcode, payload)
                if message is not None:
                    yield message
        finally:
            del self._buffer[:start]

    def _frame(self, start: int) -> tuple[bool, int, bytes, int] | None:
        buffer = self._buffer
        available = len(buffer) - start
        if available < 2:
            return None
        first, second = buffer[start], buffer[start + 1]
        opcode, length, head = first & 0x0F, second & 0x7F, 2
        if first & 0x70:
            raise ProtocolError(1002, "reserved bits are set")
        if second & 0x80:
            raise ProtocolError(1002, "a server must not mask")
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise ProtocolError(1002, f"unknown opcode {opcode}")
        if opcode >= CLOSE and (length > 125 or not first & 0x80):
            raise ProtocolError(1002, "a control frame must be short and whole")
        if length == 126:
            if available < 4:
                return None
            (length,) = struct.unpack_from("!H", buffer, start + 2)
            head = 4
        elif length == 127:
            if available < 10:
                return None
            (length,) = struct.unpack_from("!Q", buffer, start + 2)
            head = 10
        if length + self._size > self._largest:
            raise ProtocolError(1009, f"a message is larger than {self._largest} bytes")
        if available < head + length:
            return None
        end = start + head + length
        return bool(first & 0x80), opcode, bytes(buffer[start + head : end]), end

    def _assemble(self, final: bool, opcode: int, payload: bytes) -> tuple[int, bytes] | None:
        if opcode >= CLOSE:
            return opcode, payload
        if opcode == CONTINUATION:
            if self._kind is None:
                raise ProtocolError(1002, "a continuation without a beginning")
            opcode = self._kind
        elif self._kind is not None:
            raise ProtocolError(1002, "a new message inside a fragmented one")
        if not final:
            self._kind = opcode
            self._parts.append(payload)
            self._size += len(payload)
            return None
        if self._parts:
            payload = b"".join([*self._parts, payload])
        self._kind, self._parts, self._size = None, [], 0
        if opcode == TEXT:
            check_text(payload)
        return opcode, payload


def check_text(payload: bytes) -> str:
    """Returns the text, or closes with 1007."""
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolError(1007, "text is not UTF-8") from error


def close_code(payload: bytes) -> tuple[int, str]:
    """Reads a close frame: its code (1005 when it has none) and reason."""
    if not payload:
        return 1005, ""
    if len(payload) == 1:
        raise ProtocolError(1002, "a close code must have two bytes")
    (code,) = struct.unpack_from("!H", payload)
    if not (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) and not 3000 <= code <= 4999:
        raise ProtocolError(1002, f"{code} is not a close code")
    return code, check_text(payload[2:])


class WebSocket:
    """A client connection. One thread receives; any thread may send."""

    def __init__(self, connection: socket.socket, rest: bytes = b"", idle_seconds: float = 10.0):
        self._socket = connection
        self._parser = Parser()
        self._rest = rest
        self._sending = threading.Lock()
        self._closing = False
        self._socket.settimeout(idle_seconds)

    @classmethod
    def connect(
        cls, url: str, headers: dict[str, str] | None = None, timeout: float = 10.0, idle_seconds: float = 10.0
    ) -> WebSocket:
        """Opens a connection to a `ws://` address."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "ws" or not parts.hostname:
            raise HandshakeError(0, f"`{url}` is not a ws:// address")
        connection = socket.create_connection((parts.hostname, parts.port or 80), timeout)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            rest = _handshake(connection, parts, headers or {})
            return cls(connection, rest, idle_seconds)
        except BaseException:
            connection.close()
            raise

    def send_text(self, text: str) -> None:
        """Sends a message."""
        self._send(TEXT, text.encode("utf-8"))

    def _send(self, opcode: int, payload: bytes) -> None:
        frame = encode(opcode, payload)
        with self._sending:
            try:
                self._socket.sendall(frame)
            except OSError as error:
                raise ConnectionClosed(1006, str(error)) from error

    def messages(self) -> Iterator[str]:
        """Yields text messages until the connection ends, which raises `ConnectionClosed`.

        Answers pings; when nothing comes for a while it asks, and gives up when that is not answered.
        """
        try:
            data, self._rest = self._rest, b""
            while True:
                for opcode, payload in self._parser.feed(data):
                    text = self._handle(opcode, payload)
                    if text is not None:
                        yield text
                data = self._receive()
        except ProtocolError as error:
            self.close(error.code, str(error))
            raise ConnectionClosed(error.code, str(error)) from error
        except ConnectionClosed:
            self.close()
            raise

    def _receive(self) -> bytes:
        asked = False
        while True:
            try:
                data = self._socket.recv(65536)
            except socket.timeout:
                if asked:
                    raise ConnectionClosed(1006, "the server does not answer") from None
                asked = True
                self._send(PING, b"")
            except OSError as error:
                raise ConnectionClosed(1006, str(error)) from error
            else:
                if not data:
                    raise ConnectionClosed(1006, "the server closed the connection")
                return data

    def _handle(self, opcode: int, payload: bytes) -> str | None:
        if opcode == TEXT:
            return payload.decode("utf-8")
        if opcode == PING:
            self._send(PONG, payload)
        elif opcode == BINARY:
            raise ProtocolError(1003, "only text is spoken here")
        elif opcode == CLOSE:
            code, reason = close_code(payload)
            self.close(1000 if code == 1005 else code)
            raise ConnectionClosed(code, reason)
        return None

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Says good-bye and closes; never fails."""
        with self._sending:
            if self._closing:
                return
            self._closing = True
        with contextlib.suppress(ConnectionClosed):
            self._send(CLOSE, struct.pack("!H", code) + reason.encode("utf-8")[:120])
        with contextlib.suppress(OSError):
            # Wakes a thread that is receiving; a plain close would not.
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _handshake(connection: socket.socket, parts: urllib.parse.SplitResult, headers: dict[str, str]) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(4096)
        if not data:
            raise HandshakeError(0, "the server closed the connection before it answered")
        received += data
        if len(received) > LARGEST_HEAD and b"\r\n\r\n" not in received:
            raise HandshakeError(0, "the server's answer is too long")
    head, _, rest = received.partition(b"\r\n\r\n")
    _check_answer(head.decode("latin-1"), rest, key)
    return rest


def _check_answer(head: str, rest: bytes, key: str) -> None:
    status_line, *header_lines = head.split("\r\n")
    fields = status_line.split(" ", 2)
    if len(fields) < 2 or not fields[0].startswith("HTTP/1.") or not fields[1].isdigit():
        raise HandshakeError(0, "the server does not speak HTTP")
    status = int(fields[1])
    if status != 101:
        text = rest.decode("utf-8", "replace").strip()[:500]
        raise HandshakeError(status, text or fields[-1])
    answer = {}
    for line in header_lines:
        name, _, value = line.partition(":")
        answer[name.strip().lower()] = value.strip()
    accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
    if (
        answer.get("upgrade", "").lower() != "websocket"
        or "upgrade" not in answer.get("connection", "").lower()
        or answer.get("sec-websocket-accept") != accept
    ):
        raise HandshakeError(0, "the server's answer is not that of a WebSocket")
