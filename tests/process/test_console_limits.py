"""The console's limits over real HTTPS: who sends too much, or too slowly, is in nobody's way."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import count

import pytest

from cloud.rollout.plan import STAGED
from tests.process.console_process import Browser, Console, new_console
from tests.process.waiting import until

# More than a test may leave behind it that are not closed yet.
CONNECTIONS = 24


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """One with little patience."""
    limits = {"request_seconds": 1.0, "write_seconds": 1.0, "stream_look_seconds": 0.02}
    folder = tmp_path_factory.mktemp("console")
    with new_console(folder, STAGED, connections_by_address=CONNECTIONS, **limits) as made:
        yield made


@pytest.fixture(scope="module")
def ada(console: Console) -> Browser:
    """An operator who is logged in."""
    browser = console.browser()
    assert browser.log_in().status == 303
    return browser


def test_streams_are_counted_and_given_back(console: Console) -> None:
    """A few pages left open would take the console from everybody."""
    browser = console.browser()
    browser.log_in()
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    with ExitStack() as stack:
        for _ in range(4):
            connection = stack.enter_context(closing(browser.connection()))
            connection.request("GET", "/detections/stream", headers={"Cookie": cookie})
            response = stack.enter_context(connection.getresponse())
            assert (response.status, response.readline()) == (200, b"retry: 2000\n")
        refused = browser.get("/detections/stream")
        assert (refused.status, "TOO_MANY_STREAMS" in refused.text) == (429, True)
    with closing(browser.connection()) as connection:

        def again() -> bool:
            connection.close()
            connection.request("GET", "/detections/stream", headers={"Cookie": cookie})
            return connection.getresponse().status == 200

        until(again)


def test_pages_that_are_closed_leave_the_console_running(console: Console, ada: Browser) -> None:
    """Each closes a connection to the store, perhaps while a thread still asks by it."""
    cookie = "; ".join(f"{name}={value}" for name, value in ada.cookies.items())
    for _ in range(100):
        with closing(ada.connection()) as connection:
            connection.request("GET", "/detections/stream", headers={"Cookie": cookie})
            connection.getresponse()
    assert console.process.poll() is None
    assert ada.get("/").status == 200


@pytest.mark.parametrize(("path", "size"), [("/login", 17_000), ("/push", 30_000_000)])
def test_a_body_that_is_too_large_is_not_read(ada: Browser, path: str, size: int) -> None:
    """Whoever can post a form could fill the memory."""
    told = {"Content_Length": str(size), "Content_Type": "application/x-www-form-urlencoded"}
    answer = ada.ask("POST", path, b"token=x", **told)
    assert (answer.status, "REQUEST_TOO_LARGE" in answer.text) == (413, True)


@pytest.mark.parametrize("told", ["4096000", None], ids=["told", "not told"])
@pytest.mark.parametrize(("path", "status"), [("/login", 413), ("/push", 303)])
def test_whoever_sends_too_much_is_answered(
    console: Console, path: str, status: int, told: str | None
) -> None:
    """Closed while they still send, a connection is reset, and the answer may be lost with it."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if told:
        headers["Content-Length"] = told
    with closing(console.browser().connection()) as connection:
        chunks = (b"x" * 4096 for _ in range(1000))
        connection.request("POST", path, chunks, headers, encode_chunked=told is None)
        assert connection.getresponse().status == status


def test_whoever_stalls_is_disconnected_and_in_nobody_s_way(console: Console, ada: Browser) -> None:
    """A few connections that say nothing would take the console from everybody."""
    context = ssl.create_default_context(cafile=str(ada.authority))
    host, _, port = console.address.partition(":")
    heads = (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n")
    late = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"
    with ExitStack() as stack:
        stalled = []
        for said in (*heads, late):
            plain = socket.create_connection((host, int(port)), 10)
            stalled.append(stack.enter_context(context.wrap_socket(plain, server_hostname=host)))
            stalled[-1].sendall(said)
        silent = stack.enter_context(closing(socket.create_connection((host, int(port)), 10)))
        assert ada.get("/").status == 200
        for one in (*stalled[:-1], silent):
            assert received(one) == b""
        assert b"REQUEST_LATE" in received(stalled[-1])


def test_one_address_can_not_take_all_connections(console: Console, ada: Browser) -> None:
    """One host of the network would take the console from everybody."""
    context = ssl.create_default_context(cafile=str(ada.authority))
    host, _, port = console.address.partition(":")

    def refused_while_others_stay() -> bool:
        with ExitStack() as stack:
            taken = []
            for _ in range(CONNECTIONS + 1):
                plain = socket.create_connection((host, int(port)), 10)
                taken.append(stack.enter_context(context.wrap_socket(plain, server_hostname=host)))
            assert received(taken[-1]) == b""
            taken[0].settimeout(0.01)
            try:
                taken[0].recv(1)
            except TimeoutError:
                return True
            return False  # all of it took longer than a request may

    until(refused_while_others_stay)
    until(lambda: ada.get("/").status == 200)


def test_whoever_does_not_read_is_disconnected(console: Console, ada: Browser) -> None:
    """Pages in frozen browsers would fill the memory, and take all streams."""
    host, _, port = console.address.partition(":")
    context = ssl.create_default_context(cafile=str(ada.authority))
    cookie = "; ".join(f"{name}={value}" for name, value in ada.cookies.items())
    log = console.folder.parent / "console.log"
    with closing(socket.socket()) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        plain.connect((host, int(port)))
        with context.wrap_socket(plain, server_hostname=host) as sock:
            head = f"GET /detections/stream HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n"
            sock.sendall(head.encode("ascii"))
            batches = count()

            def stalled() -> bool:
                console.detect_many(next(batches))
                return "console_write_stalled" in log.read_text(encoding="ascii")

            until(stalled, 20.0)
    assert ada.get("/").status == 200


def received(sock: socket.socket) -> bytes:
    """All until the other side is done."""
    found = b""
    try:
        while data := sock.recv(65_536):
            found += data
    except (ssl.SSLEOFError, ConnectionResetError):
        pass
    return found
