"""How long nobody evaluated, and how many events waited for it.

The rings keep what is produced while no evaluator works, so that nothing is lost; but it is
evaluated late, and a *prevent* comes too late. The ledger is told of each such stretch, from the
last sign of life of the evaluator that died to the moment in which its successor was let go.
"""

from dataclasses import dataclass

from agent.supervisor.ledger import SECOND, Ledger
from agent.supervisor.rings import Collection
from content.loss_causes import LossCause

ANY_TEMPLATE_TYPE = 0


@dataclass(slots=True)
class Downtime:
    """A stretch without an evaluator, while it lasts."""

    ledger: Ledger
    since: int | None = None

    def begin(self, seconds_ago: float) -> None:
        """The worker is gone, and was heard last so long ago; a second death goes on with it."""
        if self.since is None:
            self.since = self.ledger.clock() - int(seconds_ago * SECOND)

    def end(self, collection: Collection) -> None:
        """A successor works: what lies in the rings now has waited for it."""
        since, self.since = self.since, None
        if since is None:
            return
        waited = {number: ring.backlog() for number, ring in collection.rings.items()}
        waited = {number: count for number, count in waited.items() if count}
        for number, count in (waited or {ANY_TEMPLATE_TYPE: 0}).items():
            self.ledger.record(LossCause.EVALUATOR_DOWN, number, count, since)
