"""What the conductor makes of a store: clocks that jump, reports that are late, orders."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bulkhead.v1.report_pb2 import RUNG_BPF_BTF, CrashReport, Evaluations, Heartbeat
from bulkhead.v1.sensor_service_pb2 import Hello, Revocation
from cloud.conductor import Conductor
from cloud.errors import CloudError, CloudReason
from cloud.limits import LIMITS
from cloud.offers import Standing
from cloud.refusals import Refusal
from cloud.rollout import engine
from cloud.rollout.plan import STAGED, Plan
from cloud.rollout.policy import ContentUpdatePolicy
from cloud.rollout.table import State
from cloud.store import hosts, policies, releases, reports, rollouts
from cloud.store.database import Database
from cloud.store.tables import CRASHES

NAME = b"n" * 32
DAY = 86_400.0
WAITS = (Refusal("ROLLOUT_STAGE", "rollout", "internal", "a stage that has this host"),)
BAKING = STAGED.quickened(600.0, 10)
ORDER = Revocation(content_hash=NAME, reason="its rollout was halted")
RELEASE = releases.NewRelease(
    NAME, 4, 1, 1, unsafe=False, signed=b"x", halt_order=ORDER.SerializeToString()
)


@dataclass
class Cloud:
    """A store with one rollout, a conductor, and both of its clocks."""

    database: Database
    now: float = 1_000.0
    wall: float = 1_700_000_000.0
    conductor: Conductor = field(init=False)

    def __post_init__(self) -> None:
        self.conductor = Conductor(
            self.database, LIMITS, lambda: self.now, lambda: int(self.wall * 1e9)
        )

    def begin(self, plan: Plan = BAKING, *agents: str) -> None:
        """A rollout, and hosts that wait for their turn."""
        started = rollouts.Started(NAME, 4, 1, int(self.wall * 1e9), ("new",), prevents=False)
        with self.database.writing() as store:
            releases.push(store, RELEASE, int(self.wall * 1e9))
            rollouts.start(store, started, plan, "alice")
            for agent_id in agents:
                said = Hello(agent_id=agent_id, platform="linux/x86_64/6.1.0", rung=RUNG_BPF_BTF)
                hosts.say_hello(store, said, "s", int(self.wall * 1e9))
                self._stands(store, agent_id, Standing.WITHHELD)

    def _stands(self, store: object, agent_id: str, standing: Standing) -> None:
        refusals = WAITS if standing is Standing.WITHHELD else ()
        row = hosts.ContentRow(agent_id, NAME, standing, 1, refusals, 1)
        hosts.set_content(store, [row])  # type: ignore[arg-type]

    def beat(self, *agents: str) -> None:
        """Heartbeats of hosts that have put a thousand events to the content."""
        self.wall += 0.001
        beat = Heartbeat(evaluations=[Evaluations(content_hash=NAME, events=1_000)])
        with self.database.writing() as store:
            for agent_id in agents:
                hosts.Beats(agent_id, "s", beat, int(self.wall * 1e9))(store)

    def activate(self, agent_id: str) -> None:
        """The content is active there."""
        with self.database.writing() as store:
            self._stands(store, agent_id, Standing.ACTIVE)

    def undeliver(self, agent_id: str) -> None:
        """It did not arrive there as it was signed."""
        with self.database.writing() as store:
            self._stands(store, agent_id, Standing.UNDELIVERED)

    def move(self, *agents: str) -> None:
        """These are of another platform."""
        with self.database.writing() as store:
            for agent_id in agents:
                said = Hello(agent_id=agent_id, platform="linux/x86_64/6.12.0", rung=RUNG_BPF_BTF)
                hosts.say_hello(store, said, "s", int(self.wall * 1e9))

    def crash(self, agent_id: str, name: str, seconds_ago: float = 0.0) -> int:
        """A report, by a clock of the host's own; how many were new."""
        time_ns = int((self.wall - seconds_ago) * 1e9)
        report = CrashReport(id=name, time_unix_ns=time_ns, suspect_content_hash=NAME)
        with self.database.writing() as store:
            row = reports.crash_row(agent_id, report, int(self.wall * 1e9))
            return reports.add(store, CRASHES, [row])

    def look(self, seconds: float = 1.0) -> rollouts.Stored:
        """One look after so many seconds, stored; the rollout."""
        self.now += seconds
        jobs = self.conductor.look()
        with self.database.writing() as store:
            for job in jobs:
                job(store)
        with self.database.reading() as store:
            found = rollouts.find(store, NAME)
        assert found is not None
        return found

    def seated(self) -> frozenset[str]:
        """Who has a seat."""
        with self.database.reading() as store:
            return rollouts.seats(store).get(NAME, frozenset())


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """An empty store and its conductor."""
    database = Database.create(tmp_path / "cloud.sqlite")
    yield Cloud(database)
    database.close()


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_jump_of_the_clouds_clock_changes_nothing(cloud: Cloud, jump: float) -> None:
    """Setting a clock would end bake times, or make every host look silent and halt everything."""
    cloud.begin(BAKING, "a", "b", "c")
    cloud.look()
    (first,) = cloud.seated()
    cloud.activate(first)
    cloud.beat("a", "b", "c")
    cloud.look()
    cloud.wall += jump
    cloud.beat("a", "b", "c")
    after = cloud.look()
    assert after.rollout.state is State.INTERNAL
    assert after.rollout.reason == ""
    for _ in range(12):
        cloud.beat("a", "b", "c")
        after = cloud.look(55.0)
    assert after.rollout.state is State.CANARY


def test_hosts_clocks_mean_nothing(cloud: Cloud) -> None:
    """A host whose clock is a day off could not halt what kills it."""
    cloud.begin(BAKING, "a", "b", "c")
    cloud.look()
    (first,) = cloud.seated()
    cloud.activate(first)
    cloud.crash(first, "one", seconds_ago=DAY)
    assert cloud.look().rollout.state is State.HALTED


def test_reports_from_before_the_rollout_are_not_its_doing(cloud: Cloud) -> None:
    """Content would be halted for what its predecessor has done."""
    cloud.crash("a", "old")
    cloud.begin(BAKING, "a")
    cloud.look()
    cloud.activate("a")
    assert cloud.crash("a", "old") == 0
    assert cloud.look().rollout.state is State.INTERNAL


def test_a_report_that_comes_after_the_last_stage_still_halts(cloud: Cloud) -> None:
    """What kills late would be found out, and stay."""
    cloud.begin(STAGED.quickened(0.0, 10), "a", "b")
    for _ in range(8):
        for one in cloud.seated():
            cloud.activate(one)
        cloud.beat("a", "b")
        after = cloud.look()
    assert after.rollout.state is State.COMPLETE
    cloud.crash("a", "late")
    assert cloud.look(6.0).rollout.state is State.COMPLETE
    cloud.crash("b", "late")
    halted = cloud.look(6.0)
    assert halted.rollout.state is State.HALTED
    with cloud.database.reading() as store:
        assert NAME in releases.revocations(store)


def test_what_nobody_looks_at_does_not_bake(cloud: Cloud) -> None:
    """A cloud that was down for the bake time would come up and go on to the next stage."""
    cloud.begin(BAKING, "a")
    cloud.look()
    cloud.activate("a")
    cloud.beat("a")
    cloud.look()
    after = cloud.look(10_000.0)
    assert after.rollout.state is State.INTERNAL
    assert after.rollout.baked <= engine.LONGEST_LOOK + 1


def test_a_host_that_falls_silent_is_noticed(cloud: Cloud) -> None:
    """A host that hangs would count as one that is well."""
    cloud.begin(BAKING, "a")
    cloud.look()
    cloud.activate("a")
    cloud.beat("a")
    cloud.look()
    after = cloud.look(61.0)
    (silent,) = [one for one in after.rollout.verdicts if one.gate == "silent"]
    (reach,) = [one for one in after.rollout.verdicts if one.gate == "reach"]
    assert silent.found == "1 of 1 hosts"
    assert reach.outcome == "open"


def test_a_skipped_instance_was_not_evaluated(cloud: Cloud) -> None:
    """An instance that every sensor skips would pass as tried a thousand times."""
    cloud.begin(BAKING, "a")
    cloud.look()
    skipped = (Refusal("WORK_BUDGET_EXCEEDED", "instance new", "", ""),)
    row = hosts.ContentRow("a", NAME, Standing.ACTIVE, 1, skipped, 1)
    with cloud.database.writing() as store:
        hosts.set_content(store, [row])
    cloud.beat("a")
    cloud.look()
    assert "given_up" in cloud.look().rollout.reason


def test_a_host_that_got_nothing_speaks_for_nobody(cloud: Cloud) -> None:
    """Content would pass on the word of hosts to whom it could not be delivered."""
    cloud.begin(STAGED.quickened(0.0, 0), "a", "b")
    cloud.look()
    (first,) = cloud.seated()
    cloud.undeliver(first)
    cloud.beat("a", "b")
    after = cloud.look()
    assert after.rollout.state is State.INTERNAL
    assert [one.outcome for one in after.rollout.verdicts if one.gate == "reach"] == ["open"]
    cloud.activate(first)
    assert cloud.look().rollout.state is State.CANARY


def test_another_stands_in_for_who_got_nothing_but_not_for_all(cloud: Cloud) -> None:
    """A wrong clock could hold content up everywhere, or a fault of the cloud's seat all hosts."""
    cloud.begin(STAGED.quickened(0.0, 0), "a", "b", "c", "d")
    cloud.look()
    (first,) = cloud.seated()
    cloud.move(*{"a", "b", "c", "d"} - {first})
    cloud.activate(first)
    cloud.beat("a", "b", "c", "d")
    assert cloud.look().rollout.state is State.CANARY
    seated = {first}
    for count in (2, 3, 3):
        cloud.look()
        news = cloud.seated() - seated
        seated |= news
        assert len(seated) == count
        for one in news:
            cloud.undeliver(one)


def test_an_order_that_was_overtaken_is_refused(cloud: Cloud) -> None:
    """Of two operators, or an operator and the engine, the later would undo the other unseen."""
    cloud.begin(BAKING, "a")
    before = cloud.look()
    after = engine.pause(before.rollout, paused=True)
    with cloud.database.writing() as store:
        rollouts.change(store, before, after, "alice", "pause", 1)
    with (
        pytest.raises(CloudError) as refused,
        cloud.database.writing() as store,
    ):
        rollouts.change(store, before, engine.halt(after, "", 1.0), "bob", "halt", 1)
    assert refused.value.reason is CloudReason.ROLLOUT_CHANGED
    assert cloud.look().rollout.paused


def test_policies_come_from_the_host_its_group_or_the_default(cloud: Cloud) -> None:
    """A group's policy would hold for other content, or for other hosts, than it was meant for."""
    paused = ContentUpdatePolicy(paused=True)
    with cloud.database.writing() as store:
        policies.set_group(store, "a", "web", "alice", 1)
        policies.set_policy(store, "web", policies.EVERY_CATEGORY, paused, "alice", 1)
        policies.set_policy(store, "web", 4, ContentUpdatePolicy(), "alice", 1)
    with cloud.database.reading() as store:
        known = policies.read(store)
    assert known.of("a", 1).paused
    assert not known.of("a", 4).paused
    assert not known.of("b", 1).paused
