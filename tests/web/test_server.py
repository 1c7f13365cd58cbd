"""The server of the page: what it answers, and what it refuses."""

import http.client
import io
import json
import socket
import struct
import threading
import time

import numpy as np
import pytest
from PIL import Image

from l2s_jax import cli
from l2s_jax.commands import serve
from l2s_jax.export.segmenter import segmenter
from l2s_jax.inference.editor import Editor
from l2s_jax.inference.model import load_model
from l2s_jax.inference.parser import Parser
from l2s_jax.web import server as web
from tests.helpers import fake_system

MOST = 100_000
LABELS = fake_system.LABELS


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with fake_system.working_directory(tmp_path_factory.mktemp("serve")) as root:
        fake_system.save(root / "models" / "tiny", codec="styled")
        model = load_model("tiny")
        parser = Parser(model)
        described = segmenter(parser.predict, parser.variables, parser.label_set, model.meta).description
        with web.Server(("127.0.0.1", 0), parser, Editor(model), described, MOST) as running:
            thread = threading.Thread(target=running.serve_forever, daemon=True)
            thread.start()
            yield running
            running.shutdown()
            thread.join()


def ask(server, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content, answer.headers


def png(pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_page_asks_for_nothing_that_is_not_there(server):
    status, page, headers = ask(server, "GET", "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"./engine.js" in page
    assert ask(server, "GET", "/engine.js")[0] == 200
    said = json.loads(ask(server, "GET", "/model.json")[1])
    assert json.loads(said["classes"]) == json.loads(said["regions"]) == list(LABELS.names)


@pytest.mark.parametrize(
    "path",
    [
        "/setup.cfg",
        "/../setup.cfg",
        "/%2e%2e/setup.cfg",
        "//etc/passwd",
        "/../../../../etc/passwd",
        "/page.html",
        "/..",
        "//[",
    ],
)
def test_no_file_is_read_by_request(server, path):
    assert ask(server, "GET", path)[:2] == (404, b"there is no such page")


def test_a_photo_is_parsed(server):
    pixels, _ = fake_system.painted(40, 60)
    status, content, headers = ask(server, "POST", "/parse", png(pixels))
    assert (status, headers["X-Size"], len(content)) == (200, "60x40", 40 * 60 * 4)
    found = np.frombuffer(content, np.uint8)
    np.testing.assert_array_equal(found[: 40 * 60].reshape(40, 60), server.parser(pixels).ids)
    np.testing.assert_array_equal(found[40 * 60 :].reshape(40, 60, 3), pixels)


def test_parts_are_swapped(server):
    target = fake_system.painted(32, 32)[0]
    source = target[::-1]
    first = png(target)
    status, content, headers = ask(server, "POST", f"/swap?regions=hair,lips&first={len(first)}", first + png(source))
    assert (status, headers["Content-Type"]) == (200, "image/png; charset=utf-8")
    code = server.editor.swap(target, source, ["hair", "lips"])
    expected = server.editor.show(target, code, ["hair", "lips"], web.FEATHER)[0].image
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), expected)


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "sentence"),
    [
        ("/parse", b"hello", {}, 422, "the photo"),
        ("/parse", bytes(MOST + 1), {}, 413, "send a smaller photo"),
        ("/parse", None, {"Content_Length": "many"}, 411, "comes with its length"),
        ("/parse", None, {"Content_Length": "9" * 5000}, 413, "send a smaller photo"),
        ("//[", b"", {}, 404, "no such request"),
        ("/parse", b"", {"Sec_Fetch_Site": "cross-site"}, 403, "only the page of this server"),
        ("/other", b"", {}, 404, "no such request"),
        ("/swap?regions=hair&first=x", b"", {}, 400, "number of bytes"),
        ("/swap?regions=hair&first=" + "9" * 5000, b"", {}, 400, "number of bytes"),
        ("/swap?regions=hair&first=3", b"abcdef", {}, 422, "the first photo"),
    ],
)
def test_refusals_are_one_sentence(server, path, body, headers, status, sentence):
    found, content, answered = ask(server, "POST", path, body, **headers)
    assert (found, answered["Content-Type"]) == (status, "text/plain; charset=utf-8")
    assert sentence in content.decode()
    assert "\n" not in content.decode()


def test_what_is_no_request_gets_one_sentence(server):
    with socket.create_connection(server.server_address, timeout=30) as connection:
        connection.sendall(b"GET / <b> HTTP/1.1\r\n\r\n")
        head, body = connection.makefile("rb").read().split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 400 ")
    assert b"Content-Type: text/plain" in head
    assert body.startswith(b"Bad request ")
    assert b"\n" not in body
    assert b"<" not in body


def test_nothing_is_said_of_somebody_who_has_left(server, capfd):
    body = png(fake_system.painted(16, 16)[0])
    request = b"POST /parse HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    deadline = time.monotonic() + 20
    with server.model, socket.create_connection(server.server_address) as connection:  # it is busy until he has left
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # without a good-bye
        connection.sendall(request)
        while server.waiting._value == web.MAX_WAITING and time.monotonic() < deadline:
            time.sleep(0.01)
    while server.waiting._value < web.MAX_WAITING and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ask(server, "POST", "/parse", body)[0] == 200
    assert capfd.readouterr().err == ""


def test_an_unknown_region_is_named(server):
    first = png(fake_system.painted(16, 16)[0])
    status, content, _ = ask(server, "POST", f"/swap?regions=hat&first={len(first)}", first + first)
    assert status == 422
    assert "no slice for the region 'hat'" in content.decode()


def test_too_many_pixels_are_refused_before_they_are_decoded(server):
    status, content, _ = ask(server, "POST", "/parse", png(np.zeros((8000, 7000), np.uint8)))
    assert status == 422
    assert "the photo" in content.decode()


def test_too_many_at_once_are_refused(server):
    with server.model:  # the model is busy
        body = png(fake_system.painted(16, 16)[0])
        waiting = [threading.Thread(target=ask, args=(server, "POST", "/parse", body)) for _ in range(web.MAX_WAITING)]
        for thread in waiting:
            thread.start()
        deadline = time.monotonic() + 20
        while server.waiting._value and time.monotonic() < deadline:
            time.sleep(0.01)
        assert ask(server, "POST", "/parse", body)[:2] == (503, b"too many photos at once: try again in a moment")
    for thread in waiting:
        thread.join()
    assert ask(server, "POST", "/parse", body)[0] == 200


def test_a_port_in_use_is_one_sentence(server, capsys):
    assert cli.main(["serve", "--model", "tiny", "--editor", "none", "--port", str(server.server_port)]) == 2
    err = capsys.readouterr().err
    assert "Address already in use; name another --port or --host" in err
    assert err.count("\n") == 1


def test_only_this_machine_is_served_unless_asked():
    import argparse

    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    assert parser.parse_args([]).host == "127.0.0.1"


def test_it_listens_on_its_address_only(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert server.socket.family == socket.AF_INET
