"""Which of the supervisor's parts a role belongs to: messages, misdeeds and its end go there."""

from dataclasses import dataclass

from agent.channel import Message, ProtocolViolationError
from agent.deaths import Cause
from agent.supervisor.child import Child
from agent.supervisor.collecting import Collecting
from agent.supervisor.content_flow import ContentFlow
from agent.supervisor.evaluators import Evaluators
from agent.supervisor.joining import Joining
from agent.supervisor.judging import Judging
from agent.supervisor.linking import Linking
from agent.supervisor.roles import Role
from agent.supervisor.seeding import Seeding


@dataclass(frozen=True, slots=True)
class Owners:
    """The parts that have roles."""

    flow: ContentFlow
    evaluators: Evaluators
    judging: Judging
    collecting: Collecting
    joining: Joining
    seeding: Seeding
    linking: Linking

    def message(self, child: Child, message: Message) -> None:
        """What a role has said; ProtocolViolationError where it may not say that."""
        if child.role is Role.EVALUATOR:
            self.judging.message(child, message)
        elif child.role is Role.LINK:
            self.linking.message(message, self.flow)
        elif message.kind in ("seeding", "seeded"):
            self._of_seeding(child, message)
        elif child is self.joining.child:
            self.joining.message(message)
        elif child is self.collecting.child:
            self._of_first_collector(child, message)
        else:
            raise ProtocolViolationError(f"{message.kind} of a collector that has handed over")

    def violation(self, child: Child, error: ProtocolViolationError) -> None:
        """A role has said what it may not say, and is ended for it."""
        if child is self.joining.child:
            self.joining.blamed(error)
        one = self.evaluators.by_child(child)
        if one is not None:
            self.evaluators.blame_protocol(one)
        child.kill()

    def forbidden_call(self, child: Child) -> None:
        """A role has made a system call that it may not make, and is ended for it."""
        one = self.evaluators.by_child(child)
        if one is not None:
            one.cause = one.cause or Cause.FORBIDDEN_CALL
        child.kill()

    def ended(self, child: Child) -> None:
        """A role has ended, and all that it had said was read."""
        self.seeding.gone(child)
        one = self.evaluators.by_child(child)
        if one is not None:
            self.judging.ended(one)
        elif self.judging.inquests.child is child:
            self.judging.inquests.ended()
        elif child is self.collecting.child:
            self.collecting.ended(child)
        elif child is self.joining.child:
            self.joining.ended(child)
        elif child is self.linking.child:
            self.linking.ended(child)

    def _of_first_collector(self, child: Child, message: Message) -> None:
        if message.kind == "attached":
            self.collecting.attached(child, message)
        elif message.kind == "attachments":
            self.collecting.attachments(child, message)
        elif message.kind == "failed":
            self.collecting.failed(message)
        elif message.kind == "late":
            self.collecting.late(message)
        elif message.kind == "heartbeat":
            self.collecting.heard()

    def _of_seeding(self, child: Child, message: Message) -> None:
        if message.kind == "seeded":
            self.seeding.message(child, message)
            return
        if child is self.joining.child:
            self.joining.let_go(child)
            ours = True
        elif child is self.collecting.child:
            ours = not self.collecting.let_go(child)
        else:
            raise ProtocolViolationError("seeding offered twice")
        if self.collecting.collection is not None:
            self.seeding.offered(child, message, self.collecting.collection, ours=ours)
