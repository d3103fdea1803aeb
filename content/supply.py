"""What a sensor supplies: the side of the comparison that the incident of 2024 left out.

The validator checks content against a `Supply`, never against a Definition alone: on the sensor it
is the sensor's own, in the cloud the one that a sensor sent in its hello, in the author's tool the
one of this release on a rung of the author's choice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from content.definitions import Rung, SchemaVersion, TemplateType


@dataclass(frozen=True, slots=True)
class SuppliedType:
    """One Template Type as a sensor really fills it in.

    arity: how many inputs the sensor supplies; fields are numbered 1 to arity.
    supplied_fields: numbers of the fields that the rung in use fills in.
    """

    number: int
    name: str
    version: SchemaVersion
    fingerprint: bytes
    arity: int
    supplied_fields: frozenset[int]


@dataclass(frozen=True, slots=True)
class Supply:
    """Everything that one sensor supplies on the rung in use, by Template Type number."""

    rung: Rung
    types: Mapping[int, SuppliedType]

    @classmethod
    def of(cls, types: Mapping[int, TemplateType], rung: Rung) -> "Supply":
        """What a sensor with these Definitions supplies; types that the rung can't see are out."""
        supplied = {
            number: SuppliedType(
                number=number,
                name=template_type.name,
                version=template_type.version,
                fingerprint=template_type.fingerprint,
                arity=template_type.arity,
                supplied_fields=fields,
            )
            for number, template_type in types.items()
            if (fields := template_type.supplied_fields(rung))
        }
        return cls(rung, MappingProxyType(supplied))
