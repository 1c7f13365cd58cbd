"""Hostile requests to the page's server (`l2s serve`), over a socket of this machine."""

import contextlib
import socket
import threading
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from hypothesis import strategies as st

from experiments.fuzz.inputs import damaged
from experiments.fuzz.measure import SECONDS
from input_pipeline.errors import UserError
from l2s_jax.export.segmenter import describe
from l2s_jax.inference.editor import Editor
from l2s_jax.inference.model import load_model
from l2s_jax.inference.parser import Parser
from l2s_jax.web.server import Server

MAX_BYTES = 2**17
"""Most bytes of a request."""
AT_ONCE = 12
"""Most requests at once."""
PATHS = (
    *("/", "/engine.js", "/model.json", "/parse", "/swap", "/parse?x=1#y", "/page.html", "/engine.js/../server.py"),
    *("/../setup.cfg", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/..\\..\\x", "http://[", "//[", "/%00", "*", ""),
    *("/" + "a/" * 10**4, "/" + "a" * 10**5, "/swap?" + "a&" * 10**4, "/swap?first=" + "9" * 5000),
    *("/swap?regions=hair,nose&first=600", "/swap?regions=&first=0", "/swap?regions=%ff&first=-1"),
)
LENGTHS = ("-1", "0", "1", "99999999", "9" * 5000, "1e3", "0x10", "600, 600", "\u0663", "")
HEADERS = (
    *(
        "Host: x",
        "Sec-Fetch-Site: cross-site",
        "Transfer-Encoding: chunked",
        "Expect: 100-continue",
        "Range: bytes=0-9",
    ),
    *("Content-Encoding: gzip", "Content-Length: 5", "Upgrade: websocket", "X: " + "y" * 70000, ": none", "odd"),
)
_PART = 'Content-Disposition: form-data; name="photo"; filename="../../x.png"'


@st.composite
def requests(draw: st.DrawFn, photos: Sequence[bytes]) -> bytes:
    """Draw the bytes of a request: odd paths, headers and lengths, one photo or two, a form, or damage anywhere."""
    photo = damaged(photos) | st.sampled_from(photos)
    form = photo.map(lambda body: f"--b\r\n{_PART}\r\n\r\n".encode() + body + b"\r\n--b--\r\n")
    body = draw(st.one_of(photo, st.builds(bytes.__add__, photo, photo), form, st.just(bytes(MAX_BYTES + 1))))
    method = draw(st.sampled_from(["GET", "POST", "POST", "POST", "PUT", "HEAD", "OPTIONS", "", "GET" * 99]))
    path = draw(st.sampled_from(["/parse", "/swap?regions=hair&first=600", *PATHS]) | st.text(max_size=20))
    length = draw(st.sampled_from([str(len(body))] * 10 + list(LENGTHS)))
    headers = draw(st.lists(st.sampled_from(HEADERS), max_size=2))
    version = draw(st.sampled_from(["HTTP/1.1"] * 5 + ["HTTP/1.0", "HTTP/9.9", "", "x"]))
    lines = [f"{method} {path} {version}", f"Content-Length: {length}", *headers]
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    return draw(st.just(request) | damaged([request]))


class Page:
    """The page, served by a thread of this process, with the models of the package."""

    def __init__(self):
        parser, editor = Parser(), Editor(load_model("l2s-synthetic"))
        described = describe(parser.label_set, parser.model.meta)
        self._server = _Watched(("127.0.0.1", 0), parser, editor, described, MAX_BYTES)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def ask(self, *requests: bytes) -> None:
        """Send requests at once.

        Raises:
          UserError: one of them is refused.
          AssertionError: there is an error in the server, or an answer with anything else than page, masks or picture.
        """
        self._server.errors.clear()
        with ThreadPoolExecutor(len(requests)) as threads:
            answers = list(threads.map(self._answer, requests))
        if self._server.errors:
            raise AssertionError(self._server.errors[0])
        refused = [self._status(answer) for answer in answers]
        if max(refused) >= 400:
            raise UserError(f"refused: {max(refused)}")

    def _answer(self, request: bytes) -> bytes:
        answer = bytearray()
        with socket.create_connection(self._server.server_address, timeout=SECONDS) as connection:
            with contextlib.suppress(ConnectionError):  # it has answered, and listens no more
                connection.sendall(request)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                while part := connection.recv(2**16):
                    answer += part
        return bytes(answer)

    def _status(self, answer: bytes) -> int:
        """Return the status of an answer; 0 stands for that of answers without a head, which HTTP/0.9 has."""
        head, _, body = answer.partition(b"\r\n\r\n") if answer.startswith(b"HTTP/") else (b"HTTP/0.9 0", b"", answer)
        status = int(head.split()[1])
        ours = body in self._server.pages.values() or b"\nX-Size: " in head or b"\nContent-Type: image/png" in head
        sentence = b"\n" not in body and status in (0, *range(400, 500), 501, 503, 505)
        if not ours and not sentence:
            raise AssertionError(answer[:300])
        return status


class _Watched(Server):
    """A server that keeps the errors of its handlers."""

    def __init__(self, *arguments):
        self.errors: list[str] = []
        super().__init__(*arguments)

    def handle_error(self, request, client_address) -> None:
        self.errors.append(traceback.format_exc())
