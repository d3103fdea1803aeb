"""Whether a release fits a sensor: the serving process's own check, before anything is offered.

    1. the signature is by a key that this cloud trusts
    2. the Content Validator, in a process of its own, finds nothing against the sensor's supply

A validator that crashes or exceeds its time is a refusal like any other, and is started anew for
the next question. Verdicts are kept per release and supply; that the validator failed is none.
"""

import asyncio
import hashlib
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence

from bulkhead.v1.channel_file_pb2 import SignedChannelFile
from bulkhead.v1.sensor_service_pb2 import Hello
from cloud import journal
from cloud.catalogue import Library
from cloud.errors import CloudReason
from cloud.limits import CloudLimits
from cloud.offers import Release
from cloud.refusals import Refusal, from_text
from cloud.signing import TrustedKey
from cloud.validating import ANSWER, REQUEST

COMMAND = (sys.executable, "-m", "cloud.validating")
Refusals = tuple[Refusal, ...]


class ValidatorProcess:
    """The validator's process, started when it is needed; one question at a time."""

    def __init__(self, limits: CloudLimits, command: Sequence[str] = COMMAND) -> None:
        self._limits = limits
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def refusals(self, payload: bytes, supply: Hello) -> Refusals:
        """Why content with this payload does not fit; a dead validator is a refusal."""
        async with self._turn:
            try:
                async with asyncio.timeout(self._limits.validation_seconds):
                    return await self._ask(payload, supply.SerializeToString())
            except TimeoutError:
                return await self._failed("no answer in time")
            except (OSError, asyncio.IncompleteReadError, ValueError) as error:
                return await self._failed(f"{type(error).__name__}")

    async def start(self) -> None:
        """Start the process before it is needed: loading it takes longer than its answers."""
        if self._process is None or self._process.returncode is not None:
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, start_new_session=True
            )

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    async def _ask(self, payload: bytes, supply: bytes) -> Refusals:
        await self.start()
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise ValueError("the validator has no pipes")
        source, sink = process.stdin, process.stdout
        source.write(REQUEST.pack(len(payload), len(supply)) + payload + supply)
        await source.drain()
        (length,) = ANSWER.unpack(await sink.readexactly(ANSWER.size))
        return from_text((await sink.readexactly(length)).decode("ascii"))

    async def _failed(self, found: str) -> Refusals:
        await self.close()
        journal.warning("validator_failed", found=found)
        return (
            Refusal(
                CloudReason.VALIDATOR_FAILED,
                "payload",
                f"the validator ended: {found}",
                f"a verdict within {self._limits.validation_seconds:g} s",
            ),
        )


class Gate:
    """Verdicts per release and supply; a question that is being answered is not asked twice."""

    def __init__(
        self,
        library: Library,
        keys: Callable[[], Sequence[TrustedKey]],
        validator: ValidatorProcess,
        limits: CloudLimits,
    ) -> None:
        self._library = library
        self._keys = keys
        self._validator = validator
        self._limits = limits
        self._verdicts: OrderedDict[bytes, asyncio.Task[Refusals]] = OrderedDict()

    async def refusals(self, release: Release, hello: Hello) -> Refusals:
        """Why this release does not fit the sensor; empty if it does."""
        supply = Hello(rung=hello.rung, supplied=hello.supplied)
        told = supply.SerializeToString(deterministic=True)
        question = release.content_hash + hashlib.sha256(told).digest()
        verdict = self._verdicts.get(question)
        if verdict is None or (verdict.done() and verdict.exception()):
            verdict = asyncio.create_task(self._judge(release, supply))
            self._verdicts[question] = verdict
            while len(self._verdicts) > self._limits.held_verdicts:
                self._verdicts.popitem(last=False)
        self._verdicts.move_to_end(question)
        refusals = await asyncio.shield(verdict)
        if any(one.reason == CloudReason.VALIDATOR_FAILED for one in refusals):
            self._verdicts.pop(question, None)
        return refusals

    async def start(self) -> None:
        """Have the validator ready."""
        try:
            await self._validator.start()
        except OSError as error:  # asking it will be refused, with the reason
            journal.warning("validator_failed", found=str(error))

    async def close(self) -> None:
        """Ask nothing more."""
        for verdict in self._verdicts.values():
            verdict.cancel()
        await asyncio.gather(*self._verdicts.values(), return_exceptions=True)
        await self._validator.close()

    async def _judge(self, release: Release, supply: Hello) -> Refusals:
        data = await self._library.signed_bytes(release.content_hash)
        envelope = SignedChannelFile.FromString(data)
        # 1. Signature.
        if not await asyncio.to_thread(self._is_signed, envelope):
            return (
                Refusal(
                    CloudReason.SIGNATURE_INVALID,
                    "signatures",
                    "none that is ours and good",
                    "a signature by a trusted key",
                ),
            )
        # 2. Validator.
        return await self._validator.refusals(envelope.payload, supply)

    def _is_signed(self, envelope: SignedChannelFile) -> bool:
        return any(key.signed_channel_file(envelope) for key in self._keys())
