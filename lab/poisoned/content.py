"""Channel Files for the evaluator that dies: harmless instances, and poison among them.

Every instance looks for a word of its own in the image of a program, so that running a program of
that name is an event that it matches. The ids of poison instances say of which kind they are; the
engine of lab.poisoned dies of them, the shipped one evaluates them like all others.
"""

from collections.abc import Mapping, Sequence

from content.channel_file import Envelope, pack, pack_envelope
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
from content.template_type import TemplateType

PROCESS = "process"
IMAGE = 1
CANARY = "bulkhead-exec-canary"
CANARY_WORD = "bulkhead-canary-"
"""What lab.demo.scenario.exec_canary runs."""

ROW_POISON = "lab-poison-row"
"""The evaluator dies while it works on this instance alone, on an event that it matches."""

BULK_POISON = "lab-poison-bulk"
"""It dies while it searches all events of a batch for all patterns."""

LOAD_POISON = "lab-poison-load"
"""It dies while it builds its engine over this, before any event: but only lab.poisoned.release."""

HARMLESS = "lab-harmless"


def channel_file(
    types: Mapping[int, TemplateType],
    version: int,
    poison: Sequence[str],
    *,
    harmless: int = 3,
    fixed: Sequence[str] = (),
    below: str = "",
) -> bytes:
    """A serialised Channel File for process.

    poison: ids of the poison instances that it has. harmless: how many others, besides the canary.
    fixed: ids among poison that were corrected; another title stands for the correction.
    below: the folder of its canaries: it sees those of other sensors, too.
    """
    kind = next(one for one in types.values() if one.name == PROCESS)
    reference = TemplateTypeReference(kind.number, kind.version, kind.fingerprint, kind.arity)
    ids = [f"{HARMLESS}-{number}" for number in range(harmless)]
    canary = _instance(CANARY, CANARY_WORD, "Canary", below)
    instances = [canary, *(_instance(one, one) for one in ids)]
    for name in poison:
        title = "Fixed" if name in fixed else "Of the laboratory"
        # Amid the others, so that nothing depends on being the first or the last one.
        instances.insert(len(instances) // 2, _instance(name, name, title))
    return pack(ChannelFile(reference, version, tuple(instances)))


def unsigned(payload: bytes) -> bytes:
    """In an envelope without a signature, as an author's tool writes it."""
    return pack_envelope(Envelope(payload))


def _instance(
    name: str, word: str, title: str = "Of the laboratory", below: str = ""
) -> TemplateInstance:
    criteria = [Criterion(IMAGE, Operator.CONTAINS, (word.encode(),))]
    if below:
        criteria.append(Criterion(IMAGE, Operator.STARTS_WITH, (f"{below}/".encode(),)))
    own = f"{below}/srv/{word}-1"
    return TemplateInstance(
        id=name,
        disposition=Disposition.DETECT,
        severity=Severity.LOW,
        title=title,
        description="A program of the laboratory was executed; it says nothing about an attack.",
        attack_techniques=("T1059",),
        false_positives=("Tests of this sensor.",),
        clauses=(Clause(tuple(criteria)),),
        samples=(
            Sample("its own program", must_match=True, inputs={IMAGE: own.encode()}),
            Sample("another one", must_match=False, inputs={IMAGE: b"/usr/bin/true"}),
        ),
    )
