"""An application that tries what it must not be able to do, and says what came of it."""

import http.server
import importlib.util
import json
import os
import signal
import socket
import sys
import time
import urllib.parse

mode = json.loads(os.environ["IOT_PARAMETERS"])["mode"]
print("mode", mode, flush=True)


def attempt(name, work):
    try:
        print(f"{name}: {work() or 'ok'}", flush=True)
    except OSError as error:
        refused = isinstance(error, (ConnectionRefusedError, TimeoutError)) or error.errno in (101, 111, 113)
        print(f"{name}: {'refused' if refused else error.strerror or error}", flush=True)


def write(path):
    with open(os.path.join(path, "x"), "w") as file:
        file.write("x")


def connect(host, port, say=None):
    with socket.create_connection((host, port), timeout=3) as connection:
        if say:
            connection.sendall(say)
            connection.shutdown(socket.SHUT_WR)
            return connection.makefile().read()


def token():
    with open(os.environ["IOT_TOKEN_FILE"]) as file:
        text = file.read()
    return None if text.startswith(os.environ["IOT_INSTANCE"] + ".") else "of someone else"


def goodbye(*_):
    print("goodbye", flush=True)
    sys.exit(0)


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


if mode == "exit0":
    sys.exit(0)
if mode == "exit3":
    sys.exit(3)
if mode == "memory":
    kept = []
    while True:
        kept.append(b"x" * 1_000_000)

signal.signal(signal.SIGTERM, goodbye)
print(f"uid {os.getuid()} gid {os.getgid()}", flush=True)
with open("/proc/self/status") as status:
    for line in status:
        if line.startswith(("CapEff", "NoNewPrivs", "Seccomp:")):
            print(" ".join(line.split()), flush=True)
attempt("write /app", lambda: write("/app"))
attempt("write /tmp", lambda: write("/tmp"))
attempt("token", token)
gateway = urllib.parse.urlsplit(os.environ["IOT_READINGS"])
attempt("gateway", lambda: connect(gateway.hostname, gateway.port, b"hello"))
attempt("metadata", lambda: connect("169.254.169.254", 80))
attempt("engine", lambda: connect(gateway.hostname, 2377))
print("parameters:", os.environ["IOT_PARAMETERS"], flush=True)
print("sdk:", "ok" if importlib.util.find_spec("iot_sdk") else "missing", flush=True)
print("done", flush=True)
http.server.ThreadingHTTPServer(("", int(os.environ["IOT_PORT"])), Page).serve_forever()
