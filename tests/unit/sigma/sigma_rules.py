"""Random Sigma rules and random events that often match them.

Texts are drawn from few characters, so that rules and events meet: wildcards and backslashes, both
cases, spaces, a character outside ASCII that has no case.
"""

from typing import Any

from hypothesis import strategies as st

from content.sigma.logsources import CATEGORIES
from tests.unit.sigma.sigma_evaluator import NAME_RESOLUTION
from tests.unit.sigma.sigma_events import ADDRESSES, Inputs

TEXT_FIELDS = {
    "process_creation": ("Image", "CommandLine", "ParentImage", "CurrentDirectory"),
    "file_event": ("Image", "TargetFilename"),
    "network_connection": ("Image", "CommandLine"),
    NAME_RESOLUTION: ("DestinationHostname", "Image"),
}


def log_source(category: str) -> str:
    """The category that a rule names."""
    return "network_connection" if category == NAME_RESOLUTION else category


def template_type_of(category: str) -> str:
    """Name of the Template Type that its rules become."""
    return "dns" if category == NAME_RESOLUTION else CATEGORIES[category].template_type


ALPHABET = "aAbB/ -*?\\.\u2014"
WORDS = st.one_of(
    st.lists(st.sampled_from(ALPHABET), max_size=4).map("".join),
    st.sampled_from(
        ["", " ", "*", "?", "a", "-a", "a -b", "*a*", "a*b", "?b", "\\*", "\\\\", "*/a"]
    ),
)
EXPRESSIONS = st.sampled_from(
    [
        "a",
        "^a",
        "b$",
        "a.b",
        "(?i)ab",
        "a+?b",
        r"\sA",
        r"[^a]\.",
        r"^-{1,2}a| /$",
        r"\w\ \w",
        "(?s)a.b",
        r"a\\",
        "(?:ab?|/){2,}",
        r"\x41",
    ]
)
TEXT_MODIFIERS = st.sampled_from(
    [
        "",
        "|contains",
        "|startswith",
        "|endswith",
        "|contains|all",
        "|cased",
        "|contains|cased",
        "|startswith|cased",
        "|windash|contains",
        "|base64offset|contains",
        "|base64",
        "|neq",
        "|contains|neq",
        "|endswith|windash|all",
    ]
)
PORTS = st.sampled_from([0, 1, 22, 80, 443, 1000])


@st.composite
def text_items(draw: st.DrawFn, field: str) -> tuple[str, Any]:
    """A field of text with modifiers, and what it is searched for."""
    kind = draw(st.sampled_from(["text"] * 6 + ["re", "exists", "null", "number"]))
    if kind == "re":
        flags = draw(st.sampled_from(["", "|i", "|s", "|i|s"]))
        return f"{field}|re{flags}", draw(st.lists(EXPRESSIONS, min_size=1, max_size=2))
    if kind == "exists":
        return f"{field}|exists", draw(st.booleans())
    if kind == "null":
        return field, draw(st.sampled_from([None, [None, "a"]]))
    if kind == "number":
        return field, draw(PORTS)
    modifiers = draw(TEXT_MODIFIERS)
    words = WORDS.filter(lambda word: not set(word) & set("*?\\")) if "64" in modifiers else WORDS
    return field + modifiers, draw(st.lists(words, min_size=1, max_size=3))


@st.composite
def other_items(draw: st.DrawFn, category: str) -> tuple[str, Any]:
    """A field of another kind."""
    items: list[st.SearchStrategy[tuple[str, Any]]] = [
        st.tuples(st.just("User"), st.sampled_from(["root", "ROOT", ["root"]])),
        st.tuples(st.just("ProcessId"), st.one_of(PORTS, PORTS.map(str), st.just(None))),
        st.tuples(st.sampled_from(["ProcessId|lt", "ParentProcessId|gte"]), PORTS),
        st.tuples(st.just("ParentUser|exists"), st.booleans()),
    ]
    if category == "network_connection":
        addresses = ["10.1.2.3", "10.*", "127.0.0.1", "::1", "fe80:*", "1.1.*", "*"]
        items += [
            st.tuples(st.just("DestinationIp"), st.sampled_from([*addresses, addresses[:3]])),
            st.tuples(st.just("DestinationIp|startswith"), st.sampled_from(["10.", "192.168."])),
            st.tuples(
                st.just("DestinationIp|cidr"),
                st.lists(st.sampled_from(["10.0.0.0/8", "::/16", "2001:db8::/32"]), min_size=1),
            ),
            st.tuples(st.just("DestinationPort"), st.lists(PORTS, min_size=1, max_size=2)),
            st.tuples(st.just("Initiated"), st.sampled_from(["true", "false", True, False])),
        ]
    return draw(st.one_of(items))


@st.composite
def searches(draw: st.DrawFn, category: str) -> Any:
    """What a search identifier stands for: a mapping, or alternatives."""
    item = st.one_of(
        st.sampled_from(TEXT_FIELDS[category]).flatmap(text_items), other_items(category)
    )
    mapping = st.lists(item, min_size=1, max_size=3).map(dict)
    return draw(st.one_of(mapping, mapping, st.lists(mapping, min_size=2, max_size=3)))


CONDITIONS = st.recursive(
    st.sampled_from(["one_a", "one_b", "two", "1 of one_*", "all of one_*", "1 of them"]),
    lambda inner: st.one_of(
        inner.map(lambda one: f"not ({one})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
            lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"
        ),
    ),
    max_leaves=5,
)


@st.composite
def rules(draw: st.DrawFn, category: str) -> dict[str, Any]:
    """A whole rule, as YAML or JSON would give it."""
    detection = {name: draw(searches(category)) for name in ("one_a", "one_b", "two")}
    condition = draw(st.one_of(CONDITIONS, st.lists(CONDITIONS, min_size=1, max_size=2)))
    return {
        "title": "Random",
        "id": "00000000-0000-4000-8000-000000000000",
        "level": "low",
        "logsource": {"product": "linux", "category": log_source(category)},
        "detection": {**detection, "condition": condition},
    }


TEXTS = st.lists(st.sampled_from("aAbB/ -*?\\.\u2014\n1"), max_size=7).map(
    lambda characters: "".join(characters).encode()
)
NUMBERS = st.sampled_from([0, 1, 22, 80, 443, 1000])


def event_inputs(category: str) -> st.SearchStrategy[Inputs]:
    """Inputs of an event, by number, any of them absent."""
    texts: dict[str, dict[int, st.SearchStrategy[bytes | int]]] = {
        "process_creation": {
            1: TEXTS,
            2: TEXTS,
            4: NUMBERS,
            6: NUMBERS,
            7: NUMBERS,
            11: TEXTS,
            13: NUMBERS,
        },
        "file_event": {
            1: st.integers(1, 5),
            2: TEXTS,
            6: st.sampled_from([0, 3, -13]),
            7: TEXTS,
            10: NUMBERS,
            12: NUMBERS,
            13: NUMBERS,
            19: NUMBERS,
        },
        NAME_RESOLUTION: {
            1: st.sampled_from([1, 1, 1, 5, 6]),
            2: TEXTS,
            8: TEXTS,
            9: TEXTS,
            11: NUMBERS,
            13: NUMBERS,
            14: NUMBERS,
            20: NUMBERS,
        },
        "network_connection": {
            1: st.integers(1, 3),
            3: st.sampled_from(ADDRESSES),
            4: NUMBERS,
            5: st.sampled_from(ADDRESSES),
            6: NUMBERS,
            8: TEXTS,
            9: TEXTS,
            11: NUMBERS,
            13: NUMBERS,
            14: NUMBERS,
            20: NUMBERS,
        },
    }
    return st.fixed_dictionaries({}, optional=texts[category])
