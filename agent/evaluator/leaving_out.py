"""Template Instances that are not run: evaluators died of them before. Pure.

The supervisor names them by digest when it hands a file over. They are taken out of the file before
anything is built from it, as it may be the building, or the search for all patterns at once, that
they kill. What is left is evaluated as ever. Nobody knows on which events they would have matched:
every event of their Template Type counts as undecided on each of them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from content.channel_file import ChannelFile
from content.instance_digest import instance_digests
from content.interpreter import InstanceFault
from content.reasons import Reason


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A Channel File: as it came, and what of it is run.

    digests: of the instances that are run. left_out: the others, as faults that the supervisor and
    the cloud are told of; their detail is the digest.
    """

    whole: ChannelFile
    kept: ChannelFile
    digests: tuple[bytes, ...]
    left_out: tuple[InstanceFault, ...] = ()

    def named(self) -> list[tuple[str, bytes]]:
        """Ids and digests, in the order in which the engine numbers the instances."""
        ids = (instance.id for instance in self.kept.instances)
        return list(zip(ids, self.digests, strict=True))


def leave_out(payload: bytes, whole: ChannelFile, quarantined: Collection[str]) -> KeptFile:
    """A file without the instances that have one of these digests (hexadecimal)."""
    digests = instance_digests(payload, whole)
    out = {number for number, one in enumerate(digests) if one.hex() in quarantined}
    if not out:
        return KeptFile(whole, whole, digests)
    kept = [number for number in range(len(digests)) if number not in out]
    instances = whole.instances
    return KeptFile(
        whole,
        replace(whole, instances=tuple(instances[number] for number in kept)),
        tuple(digests[number] for number in kept),
        tuple(
            InstanceFault(
                whole, instances[number], 0, Reason.INSTANCE_QUARANTINED, digests[number].hex()
            )
            for number in sorted(out)
        ),
    )


def left_out_of(files: Sequence[KeptFile]) -> dict[int, int]:
    """How many instances of each Template Type are left out."""
    return {file.whole.template_type.number: len(file.left_out) for file in files if file.left_out}
