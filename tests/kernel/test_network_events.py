"""Template Type network: connect, bind and accept on IPv4 and IPv6, on loopback."""

import errno
import ipaddress
import socket

import pytest

from content.definitions import Rung
from content.loss_causes import LossCause
from probes.counters import ANY_TEMPLATE_TYPE, CounterSlot
from tests.kernel.collection import Collection, Event
from tests.kernel.workload import REFUSING, refused_on_x86, run_python
from tests.needs import skip_unavoidable

ENDS = "remote_address remote_port local_address local_port".split()


def do(collection: Collection, program: str) -> list[Event]:
    """Events of a program."""
    return collection.take("network", [run_python(program)])


def named(collection: Collection, event: Event) -> tuple[str, str]:
    """Operation and family by name."""
    fields = collection.rings["network"].template_type.fields
    operation = {number: name for name, number in fields[0].values.items()}
    family = {number: name for name, number in fields[1].values.items()}
    return operation[int(event["operation"])], family[int(event["family"])]


def mapped(address: str) -> bytes:
    """An address as a record holds it."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv4Address):
        parsed = ipaddress.IPv6Address(f"::ffff:{address}")
    return parsed.packed


def sees_sockets(collection: Collection) -> bool:
    """Whether the rung can look at a socket itself, not only at what the caller says of it."""
    return collection.rung is Rung.BPF_BTF


SERVE = (
    "server = socket.socket(socket.{family})\n"
    "server.bind(({address!r}, 0))\n"
    "server.listen()\n"
    "client = socket.socket(socket.{family})\n"
    "client.connect(server.getsockname())\n"
    "accepted, peer = server.accept()\n"
    "assert accepted.getpeername()[1] == client.getsockname()[1]\n"
)


@pytest.mark.parametrize(
    ("family", "address", "name"), [("AF_INET", "127.0.0.1", "ipv4"), ("AF_INET6", "::1", "ipv6")]
)
def test_bind_connect_accept(collection: Collection, family: str, address: str, name: str) -> None:
    """If it failed, an end of a connection would be wrong or its event be missing."""
    if family == "AF_INET6" and not socket.has_ipv6:
        skip_unavoidable("no IPv6")
    bound, connected, accepted = do(collection, SERVE.format(family=family, address=address))
    assert named(collection, bound) == ("bind", name)
    assert named(collection, connected) == ("connect", name)
    assert named(collection, accepted) == ("accept", name)
    assert bound["local_address"] == mapped(address)
    assert bound["local_port"] == 0
    assert connected["remote_address"] == mapped(address)
    assert accepted["remote_address"] == mapped(address)
    if sees_sockets(collection):
        assert connected["remote_port"] == accepted["local_port"]
        assert accepted["local_address"] == mapped(address)
    assert (bound["result"], connected["result"]) == (0, 0)
    assert int(accepted["result"]) > 0


def test_every_field_is_supplied(collection: Collection) -> None:
    """If it failed, the sensor would promise a field that it never fills in."""
    events = do(collection, SERVE.format(family="AF_INET", address="127.0.0.1"))
    supplied = set().union(*(event.keys() for event in events))
    assert collection.promised("network") <= supplied


def test_counts_are_exact(collection: Collection) -> None:
    """If it failed, connections would be missed or doubled."""
    events = do(
        collection,
        "server = socket.create_server(('127.0.0.1', 0), backlog=20)\n"
        "clients = [socket.create_connection(server.getsockname()) for _ in range(11)]\n"
        "accepted = [server.accept() for _ in range(7)]\n",
    )
    operations = [named(collection, event)[0] for event in events]
    assert operations.count("bind") == 1
    assert operations.count("connect") == 11
    assert operations.count("accept") == 7
    assert len(operations) == 19


def test_refused_and_unfinished_connects(collection: Collection) -> None:
    """If it failed, an attempt that led nowhere would be invisible or look like a success."""
    refused, unfinished = do(
        collection,
        "probe = socket.create_server(('127.0.0.1', 0))\n"
        "free = probe.getsockname()\n"
        "probe.close()\n"
        "assert socket.socket().connect_ex(free) != 0\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "client = socket.socket()\n"
        "client.setblocking(False)\n"
        "client.connect_ex(server.getsockname())\n",
    )[1:4:2]
    assert refused["result"] == -errno.ECONNREFUSED
    assert unfinished["result"] in (-errno.EINPROGRESS, 0)


def test_accept_that_wants_no_address(collection: Collection) -> None:
    """If it failed, a server could hide its peers by not asking for them."""
    unknown = CounterSlot(LossCause.FAMILY_UNKNOWN, ANY_TEMPLATE_TYPE)
    before = collection.lost().get(unknown, 0)
    after = do(
        collection,
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "client = socket.create_connection(server.getsockname())\n"
        "assert library.accept4(server.fileno(), None, None, 0) >= 0\n",
    )[2:]
    if not sees_sockets(collection):
        assert after == []
        assert collection.lost()[unknown] > before
        return
    (accepted,) = after
    assert accepted["remote_address"] == mapped("127.0.0.1")
    assert set(ENDS) <= accepted.keys()


def test_accept_without_anyone(collection: Collection) -> None:
    """If it failed, a failed accept would invent a peer."""
    after = do(
        collection,
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "server.setblocking(False)\n"
        "try:\n    server.accept()\nexcept BlockingIOError:\n    pass\n",
    )[1:]
    assert [accepted["result"] for accepted in after] == [-errno.EAGAIN] * sees_sockets(collection)
    assert not any(set(ENDS) & accepted.keys() for accepted in after)


def test_mapped_peer_of_an_ipv6_server(collection: Collection) -> None:
    """If it failed, a server for both families would have peers without an address."""
    *_, accepted = do(
        collection,
        "server = socket.create_server(('::', 0), family=socket.AF_INET6, dualstack_ipv6=True)\n"
        "client = socket.create_connection(('127.0.0.1', server.getsockname()[1]))\n"
        "server.accept()\n",
    )
    assert named(collection, accepted) == ("accept", "ipv6")
    assert accepted["remote_address"] == mapped("127.0.0.1")


def test_datagram_sockets(collection: Collection) -> None:
    """If it failed, UDP would be a way round."""
    bound, connected = do(
        collection,
        "one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "one.bind(('127.0.0.1', 0))\n"
        "two = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "two.connect(one.getsockname())\n",
    )
    assert named(collection, bound)[0] == "bind"
    assert named(collection, connected)[0] == "connect"


def test_other_families_are_no_events(collection: Collection) -> None:
    """If it failed, netlink or UNIX sockets would be reported as network."""
    program = (
        "route = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)\n"
        "route.bind((0, 0))\n"
        "local = socket.socket(socket.AF_UNIX)\n"
        "local.bind('\\0bulkhead-test-other')\n"
        "client = socket.socket()\n"
        "library.connect(client.fileno(), b'\\0' * 16, 16)\n"
    )
    assert do(collection, program) == []


def test_short_and_unreadable_addresses(collection: Collection) -> None:
    """If it failed, a bad address would break or hide the event."""
    short, *others = do(
        collection,
        "client = socket.socket()\n"
        "assert library.connect(client.fileno(), b'\\2\\0\\0\\1', 4) == -1\n"
        "assert library.connect(client.fileno(), ctypes.c_void_p(8), 16) == -1\n",
    )
    assert short["result"] == -errno.EINVAL
    assert [event["result"] for event in others] == [-errno.EFAULT] * sees_sockets(collection)
    for event in (short, *others):
        assert named(collection, event) == ("connect", "ipv4")
        assert not set(ENDS) & event.keys()


@refused_on_x86
@pytest.mark.parametrize(("call", "number"), [("connect", 42), ("bind", 49)])
def test_what_a_filter_refuses_never_looks_done(
    collection: Collection, call: str, number: int, action: int, most: int
) -> None:
    """If it failed, a call that a seccomp filter has refused would pass for a connection."""
    program = REFUSING + (
        "sock = socket.socket()\n"
        f"refuse({number}, {action})\n"
        "try:\n"
        f"    sock.{call}(('127.0.0.1', 9))\n"
        "except OSError:\n"
        "    pass\n"
    )
    events = do(collection, program)
    assert len(events) <= most
    assert all(event["result"] == -errno.EACCES for event in events)
