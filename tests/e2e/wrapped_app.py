"""An app that knows nothing of meshctl, for a wrapper to wrap: python wrapped_app.py [WORD…]

It listens on $PORT and is ended by signals as any Python program is, unless a word says otherwise:

    late SECONDS   opens its port only then
    child          has a child process, which does as little as the next word says
    stubborn       takes no notice of SIGTERM and SIGINT
    tell           writes each signal it gets to stdout
    sick           answers /healthz with 503 until /heal was asked for
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = sys.argv[1:]
HELD: defaultdict[str, threading.Event] = defaultdict(threading.Event)
HEALED = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        _, word, *rest = parts.path.split("/")
        status, answer = 200, {"app": os.environ["MESHCTL_SIDECAR"], "pid": os.getpid(), "path": self.path}
        match word:
            case "held":
                HELD[rest[0]].wait(110)
            case "release":
                HELD[rest[0]].set()
            case "holding":
                answer = {"holding": [key for key, event in HELD.items() if not event.is_set()]}
            case "call":
                status, answer = call(query["url"])
            case "env":
                answer = dict(os.environ)
            case "headers":
                answer = {name.lower(): value for name, value in self.headers.items()}
            case "healthz":
                status = 200 if "sick" not in WORDS or HEALED.is_set() else 503
            case "heal":
                HEALED.set()
            case "exit":
                os._exit(int(rest[0]))
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("x-served-by", os.environ["MESHCTL_SIDECAR"])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def call(url: str) -> tuple[int, dict[str, object]]:
    """What another service answers, asked as any Python program asks: through the environment's proxy."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return 200, {"status": answer.status, "body": json.loads(answer.read())}
    except urllib.error.HTTPError as error:
        return 200, {"status": error.code, "reason": error.headers.get("x-meshctl-reason"), "body": None}


def on_signal(number: int, _: object) -> None:
    print(signal.Signals(number).name, flush=True)
    if number == signal.SIGTERM and "stubborn" not in WORDS:
        sys.exit(0)


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """See `Server` of the template "api"."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def main() -> None:
    if "stubborn" in WORDS:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if "tell" in WORDS:
        for name in ("HUP", "INT", "TERM", "USR1", "USR2", "QUIT", "WINCH", "CONT"):
            signal.signal(getattr(signal, f"SIG{name}"), on_signal)
    if "child" in WORDS:
        ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN);" if "stubborn" in WORDS else ""
        child = f"import signal; {ignore} print('child is up', flush=True); signal.pause()"
        process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        print("child", process.pid, flush=True)
    if "late" in WORDS:
        time.sleep(float(WORDS[WORDS.index("late") + 1]))
    Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()


main()
