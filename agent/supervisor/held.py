"""What an evaluator has said of events that it has not accounted for yet. Pure.

More detections than one message holds, and what was left undecided, arrive before the frame that
moves the position of their ring past the events they are about. Until then they don't count: if the
evaluator dies in between, its successor evaluates these events again and says it all again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.supervisor.claims import Verdict
from agent.supervisor.limits import LIMITS


@dataclass(frozen=True, slots=True)
class Found:
    """What one frame has found: detections as they are told on, and checked verdicts."""

    payload: bytes
    detections: int
    verdicts: Sequence[Verdict]


@dataclass(slots=True)
class Held:
    """Of one ring. `dropped` counts detections that found no room here."""

    undecided: int = 0
    dropped: int = 0
    _frames: list[Found] = field(default_factory=list)
    _bytes: int = 0

    def keep(self, found: Found) -> None:
        """Of a frame that does not move the position."""
        size = len(found.payload)
        if self._bytes + size > LIMITS.held_bytes or len(self._frames) >= LIMITS.held_frames:
            self.dropped += found.detections
            return
        self._frames.append(found)
        self._bytes += size

    def release(self) -> list[Found]:
        """The position has moved: all that was kept, in order; nothing is held any more."""
        frames, self._frames, self._bytes = self._frames, [], 0
        self.undecided = self.dropped = 0
        return frames
