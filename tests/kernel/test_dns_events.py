"""Template Type dns: what is asked, of whom, by whatever call a resolver uses.

Each workload has a network of its own, so that port 53 is free and nothing else sends there.
"""

import errno
import ipaddress
from pathlib import Path

import pytest

from content.loss_causes import LossCause
from probes.counters import CounterSlot
from tests.kernel.collection import Collection, Event, is_truncated
from tests.kernel.rungs import ONLY_WITH_BTF
from tests.kernel.workload import run_python

pytestmark = ONLY_WITH_BTF

A, TXT, AAAA, ANY = 1, 16, 28, 255

NETWORK = """
import fcntl, struct
assert library.unshare(0x40020000) == 0
with socket.socket() as control:
    fcntl.ioctl(control, 0x8914, struct.pack('16sH14x', b'lo', 0x41))
def wire(name):
    return b''.join(bytes([len(one)]) + one for one in name.split(b'.') if one) + b'\\0'
def message(name, kind=1, flags=0x0100, questions=1):
    header = struct.pack('!6H', 0x1234, flags, questions, 0, 0, 0)
    return header + wire(name) + struct.pack('!HH', kind, 1)
def udp(address='127.0.0.1', family=socket.AF_INET, port=53):
    one = socket.socket(family, socket.SOCK_DGRAM)
    one.connect((address, port))
    return one
def tcp(address='127.0.0.1', port=53):
    one = socket.socket()
    one.connect((address, port))
    return one
def in_stream(data):
    return struct.pack('!H', len(data)) + data
sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sink.bind(('0.0.0.0', 53))
server = socket.socket()
server.bind(('0.0.0.0', 53))
server.listen(20)
free = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
"""


def do(collection: Collection, program: str, folder: Path | str = "") -> list[Event]:
    """Events of a program in a network of its own."""
    return collection.take("dns", [run_python(NETWORK + program, folder)])


def named(collection: Collection, event: Event, field: str) -> str:
    """Value of an enum by name."""
    fields = collection.rings["dns"].template_type.fields
    (found,) = (one for one in fields if one.name == field)
    return {number: name for name, number in found.values.items()}[int(event[field])]


def mapped(address: str) -> bytes:
    """An IPv4 address as a record holds it."""
    return ipaddress.IPv6Address(f"::ffff:{address}").packed


MMSG = """
class Vector(ctypes.Structure):
    _fields_ = [('base', ctypes.c_char_p), ('length', ctypes.c_size_t)]
class Header(ctypes.Structure):
    _fields_ = [('name', ctypes.c_char_p), ('name_length', ctypes.c_uint),
                ('vectors', ctypes.POINTER(Vector)), ('count', ctypes.c_size_t),
                ('control', ctypes.c_void_p), ('control_length', ctypes.c_size_t),
                ('flags', ctypes.c_long), ('sent', ctypes.c_long)]
def several(one, *messages, name=None):
    headers = (Header * len(messages))()
    for header, data in zip(headers, messages):
        vectors = (Vector * 1)(Vector(data, len(data)))
        header.vectors, header.count = vectors, 1
        header.name, header.name_length = name, len(name or b'')
    return library.sendmmsg(one.fileno(), headers, len(messages), 0)
"""


def test_every_call_over_udp(collection: Collection) -> None:
    """If it failed, queries of some resolver would be invisible."""
    events = do(
        collection,
        MMSG + "one = udp('127.0.0.7')\n"
        "one.send(message(b'send.example', 16))\n"
        "free.sendto(message(b'sendto.example', 16), ('127.0.0.7', 53))\n"
        "one.sendmsg([message(b'sendmsg.example', 16)])\n"
        "free.sendmsg([message(b'named.example', 16)], [], 0, ('127.0.0.7', 53))\n"
        "assert several(one, message(b'a.example', 16), message(b'b.example', 16)) == 2\n"
        "address = struct.pack('!BxH4s8x', 2, 53, socket.inet_aton('127.0.0.7'))\n"
        "address = struct.pack('=H', 2) + address[2:]\n"
        "assert several(free, message(b'c.example', 16), name=address) == 1\n"
        "os.writev(one.fileno(), [message(b'writev.example', 16)])\n",
    )
    assert [event["query_name"] for event in events] == [
        b"send.example",
        b"sendto.example",
        b"sendmsg.example",
        b"named.example",
        b"a.example",
        b"b.example",
        b"c.example",
        b"writev.example",
    ]
    for event in events:
        assert named(collection, event, "operation") == "query"
        assert named(collection, event, "transport") == "udp"
        assert (event["remote_address"], event["remote_port"]) == (mapped("127.0.0.7"), 53)
        assert event["query_type"] == TXT
        assert event["result"] == len(bytes(event["query_name"])) + 18


def test_tcp(collection: Collection) -> None:
    """If it failed, a query in a stream would be missed, or be cut at the wrong place."""
    events = do(
        collection,
        "one = tcp('127.0.0.9')\n"
        "one.send(in_stream(message(b'whole.example', 255)))\n"
        "data = message(b'vector.example', 255)\n"
        "os.writev(one.fileno(), [struct.pack('!H', len(data)), data])\n"
        "one.sendmsg([struct.pack('!H', len(data)), message(b'header.example', 255)])\n"
        "one.send(struct.pack('!H', len(data)))\n"
        "one.send(message(b'pieces.example', 255))\n"
        "one.sendto(in_stream(message(b'other.example', 255)), ('127.0.0.1', 80))\n",
    )
    assert [event["query_name"] for event in events] == [
        b"whole.example",
        b"vector.example",
        b"header.example",
        b"pieces.example",
        b"other.example",
    ]
    for event in events:
        assert named(collection, event, "transport") == "tcp"
        assert event["query_type"] == ANY
        assert event["remote_address"] == mapped("127.0.0.9")


def test_ipv6(collection: Collection) -> None:
    """If it failed, a query over IPv6 would be missed or name the wrong server."""
    events = do(
        collection,
        "six = socket.AF_INET6\n"
        "udp('::1', six).send(message(b'six.example', 28))\n"
        "socket.socket(six, socket.SOCK_DGRAM).sendto(message(b'six.example', 28), ('::1', 53))\n"
        "udp('::ffff:127.0.0.1', six).send(message(b'six.example', 28))\n",
    )
    assert [event["query_type"] for event in events] == [AAAA] * 3
    assert [event["remote_address"] for event in events] == [
        ipaddress.IPv6Address("::1").packed,
        ipaddress.IPv6Address("::1").packed,
        mapped("127.0.0.1"),
    ]


def test_counts_are_exact(collection: Collection) -> None:
    """If it failed, queries would be missed or doubled, or other traffic be taken for queries."""
    events = do(
        collection,
        "deaf = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "deaf.bind(('127.0.0.1', 5353))\n"
        "one, other = udp(), udp(port=5353)\n"
        "for index in range(19):\n    one.send(message(b'a%d.example' % index))\n"
        "for index in range(100):\n"
        "    other.send(message(b'no.example')), free.sendto(b'x', ('127.0.0.1', 80))\n"
        "pair = socket.socketpair()\n"
        "for index in range(100):\n"
        "    pair[0].send(b'x'), pair[0].sendmsg([b'z']), os.writev(pair[1].fileno(), [b'y'])\n"
        "stream = tcp()\n"
        "for index in range(11):\n    stream.send(in_stream(message(b'b%d.example' % index)))\n",
    )
    names = [event["query_name"] for event in events]
    assert names == [
        *(b"a%d.example" % index for index in range(19)),
        *(b"b%d.example" % index for index in range(11)),
    ]


LONG = b".".join([b"x" * 63] * 3 + [b"y" * 61])


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (b"MiXeD.ExAmPlE", b"MiXeD.ExAmPlE"),
        (b"", b"."),
        (b"com", b"com"),
        (LONG, LONG),
        (b".".join([b"z"] * 127), b".".join([b"z"] * 127)),
        (b"a\0b.\xff\xfe.example", b"a\0b.\xff\xfe.example"),
    ],
)
def test_names(collection: Collection, written: bytes, name: bytes) -> None:
    """If it failed, a name would be changed, cut or read beyond its end."""
    (event,) = do(collection, f"udp().send(message({written!r}, 16))\n")
    assert named(collection, event, "operation") == "query"
    assert event["query_name"] == name
    assert event["query_type"] == TXT
    assert not is_truncated(collection.rings["dns"].template_type, event, "query_name")


@pytest.mark.parametrize(
    "data",
    [
        "b'x'",
        "b'GET / HTTP/1.1 and so on'",
        "message(b'example')[:12]",
        "message(b'example', questions=0)",
        "message(b'example')[:18]",
        "message(b'')[:12] + b'\\xc0\\x0c\\0\\1\\0\\1'",
        "message(b'')[:12] + b'\\x3f' + b'x' * 63 + b'\\x40' + b'y' * 64 + b'\\0\\0\\1\\0\\1'",
        "message(b'')[:12] + (b'\\x3f' + b'x' * 63) * 4 + b'\\0\\0\\1\\0\\1'",
        "message(b'')[:12] + b'\\1z' * 128 + b'\\0\\0\\1\\0\\1'",
    ],
)
def test_what_is_no_dns_message(collection: Collection, data: str) -> None:
    """If it failed, something else on port 53 would be hidden, or be given a name."""
    (event,) = do(collection, f"udp().send({data})\n")
    assert named(collection, event, "operation") == "malformed"
    assert "query_name" not in event
    assert "query_type" not in event


def test_kinds_of_messages(collection: Collection) -> None:
    """If it failed, an update or an answer would be taken for a query."""
    kinds = {0x0100: "query", 0x0800: "inverse_query", 0x1000: "status", 0x2000: "notify"}
    kinds |= {0x2800: "update", 0x8180: "response", 0x1800: "other"}
    program = f"for flags in {list(kinds)}:\n    udp().send(message(b'example', 1, flags))\n"
    events = do(collection, program)
    assert [named(collection, event, "operation") for event in events] == list(kinds.values())
    assert {event["query_name"] for event in events} == {b"example"}


def test_failed_sends(collection: Collection) -> None:
    """If it failed, a query that did not go out would look as if it had."""
    first, refused = do(
        collection,
        "sink.close()\none = udp()\none.send(message(b'a.example'))\n"
        "try:\n    one.send(message(b'b.example'))\n"
        "except ConnectionRefusedError:\n    pass\n"
        "for descriptor in (999, 1):\n"
        "    library.sendto(descriptor, b'x' * 20, 20, 0, b'\\2\\0\\0\\x35' + bytes(12), 16)\n",
    )
    assert int(first["result"]) > 0
    assert (refused["query_name"], refused["result"]) == (b"b.example", -errno.ECONNREFUSED)


ANSWER = """
import threading
def answer():
    while True:
        question, client = sink.recvfrom(512)
        sink.sendto(question[:2] + b'\\x81\\x83' + question[4:], client)
threading.Thread(target=answer, daemon=True).start()
assert library.mount(None, b'/', None, 0x44000, None) == 0
for name, text in (('resolv.conf', 'nameserver 127.0.0.1\\n'), ('nsswitch.conf', 'hosts: dns\\n')):
    open(path(name), 'w').write(text)
    real = os.path.realpath('/etc/' + name)
    assert library.mount(os.fsencode(path(name)), os.fsencode(real), None, 0x1000, None) == 0
"""


def test_the_resolver_of_the_c_library(collection: Collection, tmp_path: Path) -> None:
    """If it failed, ordinary programs' queries would be invisible."""
    events = do(
        collection,
        ANSWER + "for name in ('Pool.example.org', 'second.example.org'):\n"
        "    try:\n        socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)\n"
        "    except socket.gaierror:\n        pass\n",
        tmp_path,
    )
    assert sorted((bytes(event["query_name"]), event["query_type"]) for event in events) == [
        (b"Pool.example.org", A),
        (b"Pool.example.org", AAAA),
        (b"second.example.org", A),
        (b"second.example.org", AAAA),
    ]


def test_what_one_call_has_too_much_of_is_counted(collection: Collection) -> None:
    """If it failed, queries could be hidden behind others in one call, and nobody be told."""
    slot = CounterSlot(LossCause.PENDING_FULL, collection.rings["dns"].template_type.number)
    before = collection.lost().get(slot, 0)
    program = (
        "assert several(udp(), *[message(b'q%d.example' % index) for index in range(7)]) == 7\n"
    )
    events = do(collection, MMSG + program)
    assert [event["query_name"] for event in events] == [b"q%d.example" % i for i in range(4)]
    assert collection.lost()[slot] - before == 3


def test_every_field_is_supplied(collection: Collection) -> None:
    """If it failed, the sensor would promise a field that it never fills in."""
    (event,) = do(collection, "udp().send(message(b'example.org'))\n")
    definition = collection.rings["dns"].template_type
    assert {field.name for field in definition.fields} <= event.keys()
