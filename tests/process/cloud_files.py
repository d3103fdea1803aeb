"""Channel Files for the cloud's tests: a sound one, and the one of 19 July 2024."""

from dataclasses import replace
from pathlib import Path

from content.channel_file import Envelope, pack, pack_envelope
from content.definitions import load_definitions
from content.model import (
    ChannelFile,
    Clause,
    Criterion,
    Disposition,
    Operator,
    Sample,
    Severity,
    TemplateInstance,
    TemplateTypeReference,
)
from content.template_type import Field, Kind, Rung, TemplateType

TYPES = load_definitions()
IPC = next(one for one in TYPES.values() if one.name == "ipc")
PROCESS = next(one for one in TYPES.values() if one.name == "process")
COMMAND_LINE = {"process": 2, "ipc": 8}
"""Field numbers of the command line."""


def channel_file(version: int = 1, of: TemplateType = IPC, word: str = "intruder") -> ChannelFile:
    """A sound Channel File with one instance that looks for a word in the command line."""
    reference = TemplateTypeReference(of.number, of.version, of.fingerprint, of.arity)
    return ChannelFile(reference, version, (_instance(COMMAND_LINE[of.name], word.encode()),))


def july_19(version: int = 2) -> ChannelFile:
    """Its author's Definition has 21 fields, and its instance a criterion on field 21."""
    extra = Field(21, "added_later", Kind.TEXT, "The input nobody supplied.", frozenset(Rung))
    believed = replace(IPC, fields=(*IPC.fields, extra))
    sound = channel_file(version)
    return replace(
        sound,
        template_type=replace(
            sound.template_type, arity=believed.arity, fingerprint=believed.fingerprint
        ),
        instances=(_instance(extra.number, b"pipe"),),
    )


def write(path: Path, content: ChannelFile) -> Path:
    """The file as `bulkhead content pack` leaves it: an envelope without signatures."""
    path.write_bytes(pack_envelope(Envelope(pack(content))))
    return path


def _instance(field: int, word: bytes) -> TemplateInstance:
    samples = (
        Sample("the word is there", must_match=True, inputs={field: b"an " + word + b" came"}),
        Sample("it is not", must_match=False, inputs={field: b"nobody came"}),
    )
    return TemplateInstance(
        id="test-word",
        disposition=Disposition.DETECT,
        severity=Severity.HIGH,
        title="A word in a field",
        description="For the tests of the cloud.",
        attack_techniques=("T1059",),
        false_positives=(),
        clauses=(Clause((Criterion(field, Operator.CONTAINS, (word,)),)),),
        samples=samples,
    )
