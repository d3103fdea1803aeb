"""What a tree of the subset of regular expressions matches: slow, and obvious."""

from content.regex_subset import Alternation, ByteSet, End, Node, Sequence, Start


def found_in(node: Node, text: bytes) -> bool:
    """Whether the expression matches anywhere in the text."""
    return any(matches(node, text, start) for start in range(len(text) + 1))


def matches(node: Node, text: bytes, at: int) -> set[int]:
    """Where a match that begins at `at` may end."""
    if isinstance(node, ByteSet):
        return {at + 1} if at < len(text) and text[at] in node.members else set()
    if isinstance(node, Start | End):
        return {at} if at == (0 if isinstance(node, Start) else len(text)) else set()
    if isinstance(node, Alternation):
        return {end for option in node.options for end in matches(option, text, at)}
    ends = {at}
    if isinstance(node, Sequence):
        for item in node.items:
            ends = {end for start in ends for end in matches(item, text, start)}
        return ends
    found = set(ends) if node.minimum == 0 else set()
    most = len(text) + 1 + node.minimum if node.maximum is None else node.maximum
    for count in range(1, most + 1):
        ends = {end for start in ends for end in matches(node.item, text, start)}
        if count >= node.minimum:
            found |= ends
        if not ends:
            break
    return found
