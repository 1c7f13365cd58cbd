"""The server of the page: it parses and edits photos on this machine, keeps none, and reads no file by request."""

import contextlib
import http.server
import io
import json
import re
import sys
import threading
import urllib.parse
from http import HTTPStatus

from PIL import Image

from input_pipeline.errors import UserError
from input_pipeline.images import decode
from l2s_jax.inference.editor import Editor
from l2s_jax.inference.parser import Parser
from l2s_jax.web.page import DESCRIPTION, ENGINE, resource

MAX_PIXELS = 50_000_000
"""Most pixels of a photo."""
MAX_WAITING = 4
"""Most requests that wait for the model; more are refused."""
FEATHER = 4
"""Width of the soft border of a swapped part, pixels of the editor's square."""
_CHUNK, _MAX_DRAINED = 2**20, 2**30
_NUMBER = re.compile(r"\d{1,18}")
_TYPES = {"": "text/html", ENGINE: "text/javascript", DESCRIPTION: "application/json"}


class Refused(Exception):
    """A request that is not served: an HTTP status, and a sentence."""


class Server(http.server.ThreadingHTTPServer):
    """The page and its two requests.

    * `POST /parse`, body: a photo -> class ids uint8 [H * W], then RGB [H * W * 3]; header `X-Size: WxH`.
    * `POST /swap?regions=A,B&first=N`, body: the N bytes of one photo, then those of another -> PNG of the first with
      parts of the second.

    A refusal is a status and one sentence of plain text.

    Args:
      address: host and port; port 0 takes a free one.
      parser: answers `/parse`.
      editor: answers `/swap`; None hides it.
      description: of the parser (export/segmenter.py).
      max_bytes: most bytes of a request.

    Raises:
      OSError: the port is in use, or the host is not of this machine.
    """

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], parser: Parser, editor: Editor | None, description: dict, max_bytes: int
    ):
        self.parser, self.editor, self.max_bytes = parser, editor, max_bytes
        self.waiting, self.model = threading.BoundedSemaphore(MAX_WAITING), threading.Lock()
        if editor is not None:
            description = description | {"regions": json.dumps(editor.regions)}
        self.pages = {"": resource("page.html"), ENGINE: resource("by_server.js")}
        self.pages[DESCRIPTION] = json.dumps(description).encode()
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Print the traceback of a bug; somebody who has left is none."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def parse(self, body: bytes) -> tuple[bytes, dict[str, str]]:
        """Return ids and pixels of a photo, and the header with its size."""
        parsing = self.parser(_decoded(body, "the photo"))
        height, width = parsing.ids.shape
        return parsing.ids.tobytes() + parsing.image.tobytes(), {"X-Size": f"{width}x{height}"}

    def swap(self, body: bytes, regions: list[str], first: int) -> bytes:
        """Return the PNG of an edited photo."""
        target, source = _decoded(body[:first], "the first photo"), _decoded(body[first:], "the second photo")
        code = self.editor.swap(target, source, regions)
        edit = self.editor.show(target, code, regions, FEATHER)[0]
        buffer = io.BytesIO()
        Image.fromarray(edit.image).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    timeout = 60  # seconds without a byte from the browser
    error_message_format, error_content_type = "%(message)s", "text/plain"

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].removeprefix("/")
        if name not in self.server.pages:
            return self._answer(HTTPStatus.NOT_FOUND, b"there is no such page", "text/plain")
        return self._answer(HTTPStatus.OK, self.server.pages[name], _TYPES[name])

    def do_POST(self) -> None:
        try:
            length = self._length()
            if not self.server.waiting.acquire(blocking=False):
                raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many photos at once: try again in a moment")
            try:
                body = self.rfile.read(length)
                with self.server.model:
                    content, kind, headers = self._work(body)
            finally:
                self.server.waiting.release()
        except Refused as refusal:
            status, sentence = refusal.args
            return self._refuse(status, sentence)
        except UserError as error:
            return self._answer(HTTPStatus.UNPROCESSABLE_ENTITY, str(error).encode(), "text/plain")
        return self._answer(HTTPStatus.OK, content, kind, headers)

    def _work(self, body: bytes) -> tuple[bytes, str, dict[str, str]]:
        path, _, query = self.path.partition("?")
        if path == "/parse":
            content, headers = self.server.parse(body)
            return content, "application/octet-stream", headers
        if path == "/swap" and self.server.editor is not None:
            fields = dict(urllib.parse.parse_qsl(query))
            if not _NUMBER.fullmatch(first := fields.get("first", "")):
                raise Refused(HTTPStatus.BAD_REQUEST, "`first` is the number of bytes of the first photo")
            return self.server.swap(body, fields.get("regions", "").split(","), int(first)), "image/png", {}
        raise Refused(HTTPStatus.NOT_FOUND, "there is no such request")

    def _length(self) -> int:
        """Return the length of the body of a request that may be read."""
        if self.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise Refused(HTTPStatus.FORBIDDEN, "only the page of this server may send photos")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "a photo comes with its length")
        if not _NUMBER.fullmatch(length) or int(length) > self.server.max_bytes:
            limit = f"{self.server.max_bytes / 2**20:g} MiB"
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"that is more than {limit}: send a smaller photo")
        return int(length)

    def _refuse(self, status: int, sentence: str) -> None:
        """Answer a request whose body was not read; browsers see the answer only if somebody takes the body."""
        self.close_connection = True
        self._answer(status, sentence.encode(), "text/plain")
        self.connection.settimeout(1)
        with contextlib.suppress(OSError):
            for _ in range(_MAX_DRAINED // _CHUNK):
                if not self.rfile.read1(_CHUNK):
                    break

    def _answer(self, status: int, content: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        fixed = {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(content))}
        safe = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        for name, value in (fixed | safe | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what people look at stays with them."""


def _decoded(content: bytes, name: str):
    return decode.read_image(decode.Encoded(name, content), max_pixels=MAX_PIXELS)
