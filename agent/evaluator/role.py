"""The evaluator role: warm up → acquire → lock down → load → trial → ready → work.

One evaluator loads one set of Channel Files for life: new content is a new evaluator. It gets all
that it needs as descriptors in the first message (attribution record, rings, payloads), gives up
every right, and only then looks at content. It ends when the channel closes. Where the first
message asks for an inquest, it is a throw-away one (agent.evaluator.inquest).
"""

import argparse
import gc
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.attribution import Attribution, Phase
from agent.channel import Message, ProtocolViolationError, Sender, receive, send
from agent.evaluator import inquest
from agent.evaluator.inquest import EngineBuilder, read_all
from agent.evaluator.leaving_out import KeptFile, leave_out, left_out_of
from agent.evaluator.loop import Cursor, EventLoop
from agent.evaluator.trial import Trial, refused
from agent.evaluator.waiting import Waiter
from agent.sandbox import EVALUATOR, lock_down
from content.channel_file import ChannelFile, load
from content.definitions import Rung, TemplateType, load_definitions
from content.interpreter import Engine, InstanceFault, Interpreter, Note
from content.kernel_prevention import kernel_entries
from content.prevention_table import pack_entries
from content.problems import ContentError, Problem
from content.reasons import Reason
from content.supply import Supply
from probes.ring import Ring

MAX_PROBLEMS = 50
MAX_CHARACTERS = 300
"""Problems, and the characters of each text in them, so that one message holds them."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One Channel File as the supervisor handed it over.

    quarantined: digests of instances that are not to be run, hexadecimal.
    """

    hash: str
    template_type: int
    trial: bool
    active_version: int
    data: bytes
    quarantined: frozenset[str] = frozenset()


class RefusedError(Exception):
    """Channel Files of this evaluator's set can't be used: hash and problems of each."""

    def __init__(
        self,
        content_hash: str,
        problems: Sequence[Problem],
        *others: tuple[str, Sequence[Problem]],
    ) -> None:
        self.files = ((content_hash, problems), *others)
        super().__init__(f"{content_hash}: {problems[0].reason}")

    def plain(self) -> list[dict[str, object]]:
        """As the message to the supervisor has them, cut to what one message holds."""
        each = max(1, MAX_PROBLEMS // len(self.files))
        return [
            {"hash": content_hash, "problems": [_plain(problem) for problem in problems[:each]]}
            for content_hash, problems in self.files
        ]


def product_engine(
    files: Sequence[ChannelFile], types: Mapping[int, TemplateType], note: Note
) -> Engine:
    """The Content Interpreter, as shipped."""
    return Interpreter(files, types, note=note)


def run(
    arguments: Sequence[str], build: EngineBuilder = product_engine, *, lenient: bool = False
) -> int:
    """Be the evaluator until the supervisor has no more use for it; returns the exit status.

    build and lenient are for the laboratory, which puts an unchecked interpreter in on purpose.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to handle.
    channel = socket.socket(fileno=_parse(arguments).channel_fd)
    types = load_definitions()
    _warm_up(types, build)  # the first of a sensor waits for its order until there are rings
    order = receive(channel, Sender.SUPERVISOR)
    if order is None:
        return 0
    if order.kind == "inquest":
        return _hold_inquest(order, types, build, channel)
    waiter = Waiter(channel)
    attribution, cursors, payloads = _acquire(order, types, waiter)
    sandbox = lock_down(EVALUATOR, channel)
    trial = Trial(types, Supply.of(types, Rung(order["rung"])), attribution, lenient=lenient)
    try:
        files = _load(payloads, trial, build)
        engine = _build(payloads, files, trial, build)
        attribution.name_instances([one for file in files for one in file.named()])
        skipped = _finish_trial(payloads, trial, engine, cursors)
    except RefusedError as refused:
        send(channel, "rejected", files=refused.plain())
        return 0
    attribution.phase(Phase.IDLE)
    gc.freeze()
    send(
        channel,
        "ready",
        payload=pack_entries(kernel_entries([file.kept for file in files], types)),
        files=_facts(payloads, files),
        sandbox=sandbox,
    )
    loop = EventLoop(
        channel,
        engine,
        attribution,
        cursors,
        hashes={payload.template_type: payload.hash for payload in payloads},
        waiter=waiter,
        skipped=[*(fault for file in files for fault in file.left_out), *skipped],
        left_out=left_out_of(files),
    )
    return _work(loop)


def _hold_inquest(
    order: Message,
    types: Mapping[int, TemplateType],
    build: EngineBuilder,
    channel: socket.socket,
) -> int:
    given = inquest.acquire(order, types)
    lock_down(EVALUATOR, channel)
    inquest.hold(given, types, build, channel)
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="agent.evaluator", allow_abbrev=False)
    parser.add_argument("--channel-fd", type=int, required=True)
    return parser.parse_args(arguments)


def _acquire(
    order: Message, types: Mapping[int, TemplateType], waiter: Waiter
) -> tuple[Attribution, dict[int, Cursor], list[Payload]]:
    """Map what the descriptors stand for, and close them."""
    if order.kind != "load":
        raise ProtocolViolationError(f"expected load, got {order.kind}")
    record, *others = order.descriptors
    ring_descriptors = others[: len(order["rings"])]
    file_descriptors = others[len(order["rings"]) :]
    cursors = {}
    for ring, descriptor in zip(order["rings"], ring_descriptors, strict=True):
        template_type = types[ring["template_type"]]
        mapped = Ring(descriptor, ring["stride"], ring["bytes"], ring["kind"], template_type)
        waiter.add_ring(descriptor, mapped.kind)
        epoch = str(order["epochs"][str(template_type.number)])
        cursors[template_type.number] = Cursor(mapped, template_type, epoch)
    payloads = []
    for file, descriptor in zip(order["files"], file_descriptors, strict=True):
        payloads.append(
            Payload(
                file["hash"],
                file["template_type"],
                bool(file["trial"]),
                file["active_version"],
                read_all(descriptor),
                frozenset(file["quarantined"]),
            )
        )
    attribution = Attribution(record)
    for descriptor in order.descriptors:
        os.close(descriptor)
    return attribution, cursors, payloads


def _warm_up(types: Mapping[int, TemplateType], build: EngineBuilder) -> None:
    """Make everything import and initialise what it needs while files can still be opened."""
    build([], types, lambda _row, _instance: None)
    str(time.localtime())
    "".encode("idna")


def _load(payloads: Sequence[Payload], trial: Trial, build: EngineBuilder) -> list[KeptFile]:
    """Trial steps 1 to 3; files that were tried before are loaded as strictly, not tried again.

    Raises RefusedError for a file on trial that has problems, or for all others that have.
    """

    def factory(files: Sequence[ChannelFile], types: Mapping[int, TemplateType]) -> Engine:
        return build(files, types, trial.attribution.note)

    files: list[KeptFile] = []
    unserved: list[tuple[str, Sequence[Problem]]] = []
    for payload in payloads:
        trial.attribution.phase(Phase.LOADING)
        try:
            whole = load(payload.data)
        except ContentError as error:
            raise RefusedError(payload.hash, error.problems) from error
        file = leave_out(payload.data, whole, payload.quarantined)
        problems = _wrong_type(payload, whole)
        if not problems:
            trial.attribution.name_instances(file.named())
            problems = (
                trial.check(whole, payload.active_version, factory, kept=file.kept)
                if payload.trial
                else trial.served(whole)
            )
        if problems and payload.trial:
            raise RefusedError(payload.hash, problems)
        if problems:
            unserved.append((payload.hash, problems))
        files.append(file)
    if unserved:
        raise RefusedError(*unserved[0], *unserved[1:])
    return files


def _build(
    payloads: Sequence[Payload],
    files: Sequence[KeptFile],
    trial: Trial,
    build: EngineBuilder,
) -> Engine:
    """The engine over all files; if it refuses them, the file that it refuses alone is named."""
    try:
        return build([file.kept for file in files], trial.types, trial.attribution.note)
    except ContentError as error:
        for payload, file in zip(payloads, files, strict=True):
            try:
                build([file.kept], trial.types, trial.attribution.note)
            except ContentError as alone:
                raise RefusedError(payload.hash, alone.problems) from alone
        raise RefusedError(payloads[-1].hash, error.problems) from error


def _wrong_type(payload: Payload, file: ChannelFile) -> list[Problem]:
    found = file.template_type.number
    if found == payload.template_type:
        return []
    return [
        Problem(
            reason=Reason.UNKNOWN_TEMPLATE_TYPE,
            place="template_type.number",
            found=f"Template Type {found}",
            expected=f"Template Type {payload.template_type}, as it was announced",
        )
    ]


def _finish_trial(
    payloads: Sequence[Payload], trial: Trial, engine: Engine, cursors: Mapping[int, Cursor]
) -> list[InstanceFault]:
    """Step 4 of the trial; instances of other files that the engine skips from now on."""
    tried = [payload for payload in payloads if payload.trial]
    if not tried:
        return []
    slow, faults = trial.shadow(engine, cursors.values())
    number = tried[0].template_type
    named = [refused(one) for one in faults if one.channel_file.template_type.number == number]
    if named or slow:
        raise RefusedError(tried[0].hash, [*named, *slow])
    return faults


def _facts(payloads: Sequence[Payload], files: Sequence[KeptFile]) -> list[dict[str, object]]:
    return [
        {
            "hash": payload.hash,
            "template_type": file.whole.template_type.number,
            "version": file.whole.version,
            "instances": len(file.kept.instances),
        }
        for payload, file in zip(payloads, files, strict=True)
    ]


def _plain(problem: Problem) -> dict[str, str]:
    return {
        "reason": str(problem.reason),
        "place": problem.place[:MAX_CHARACTERS],
        "found": problem.found[:MAX_CHARACTERS],
        "expected": problem.expected[:MAX_CHARACTERS],
    }


def _work(loop: EventLoop) -> int:
    """Wait for the word to go, then evaluate; a peer that is gone is the end."""
    try:
        while True:
            message = receive(loop.channel, Sender.SUPERVISOR)
            if message is None or message.kind == "stop":
                return 0
            if message.kind == "go":
                loop.run(message)
                return 0
    except (BrokenPipeError, ConnectionResetError):
        return 0
