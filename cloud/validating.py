"""The validator as a process of its own: hostile content may crash it, and only it goes down.

`python -m cloud.validating` reads requests from standard input (header of two lengths, payload,
serialised Hello that carries rung and supply) and writes to standard output the length of a JSON
list of refusals and the list. It ends with its input.
"""

import struct
import sys
from typing import BinaryIO

from bulkhead.v1.sensor_service_pb2 import Hello
from cloud.refusals import from_problems, to_text
from cloud.validation import problems_of
from content.definitions import load_definitions
from content.problems import ContentError
from content.wire import supply_from_proto

REQUEST = struct.Struct("!II")
ANSWER = struct.Struct("!I")


def main() -> None:
    """Answer requests until the input ends."""
    types = load_definitions()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while request := _request(requests):
        payload, told = request
        hello = Hello.FromString(told)
        try:
            supply = supply_from_proto(hello.rung, hello.supplied)
            problems = problems_of(payload, supply, types)
        except ContentError as error:
            problems = list(error.problems)
        answer = to_text(from_problems(problems)).encode("ascii")
        answers.write(ANSWER.pack(len(answer)) + answer)
        answers.flush()


def _request(source: BinaryIO) -> tuple[bytes, bytes] | None:
    header = source.read(REQUEST.size)
    if len(header) < REQUEST.size:
        return None
    payload_bytes, hello_bytes = REQUEST.unpack(header)
    return source.read(payload_bytes), source.read(hello_bytes)


if __name__ == "__main__":
    main()
