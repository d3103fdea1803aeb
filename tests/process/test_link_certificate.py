"""The real link renews its certificate, remembers that, and says what stands in its way."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhead.v1 import report_pb2
from tests.process.cloud_process import Cloud, new_cloud
from tests.process.enrolment_process import certificate_in, enrolment, join, token
from tests.process.link_supervisor import AGENT, ScriptedSupervisor, link_folders
from tests.process.waiting import until

LIFE_SECONDS = 20


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud that is served."""
    with new_cloud(tmp_path) as made:
        made.start()
        yield made


@pytest.fixture
def supervisor(cloud: Cloud, tmp_path: Path) -> Iterator[ScriptedSupervisor]:
    """A supervisor with a link that has just joined, for less than half a minute."""
    with link_folders() as (state, tls):
        with enrolment(cloud, LIFE_SECONDS / 3600):
            join(token(cloud, tmp_path / "join.json", "--agent-id", AGENT), tmp_path / "tls")
        for one in (tmp_path / "tls").iterdir():
            shutil.copyfile(one, tls / one.name)
        made = ScriptedSupervisor(state, tls, cloud.address)
        made.start()
        try:
            yield made
        finally:
            made.close()


def serials(cloud: Cloud, source: str) -> set[str]:
    """Certificates that were issued in one way."""
    found = cloud.json("certificates", AGENT)["certificates"]
    return {one["serial"] for one in found if one["source"].startswith(source)}


def shown(cloud: Cloud) -> str:
    """The certificate of the host's last session."""
    (host,) = cloud.json("fleet")["hosts"]
    return str(host["certificate"])


def test_a_link_renews_and_a_new_one_goes_on_with_that(
    cloud: Cloud, supervisor: ScriptedSupervisor, tmp_path: Path
) -> None:
    """A host would fall out of the fleet after a day, after a restart, or without a word."""
    first = certificate_in(tmp_path / "tls")
    ends = int(first.not_valid_after_utc.timestamp())
    supervisor.until(lambda: supervisor.facts.get("connected") == 1)
    # 1. Nobody issues: it says so, and the session goes on.
    supervisor.until(
        lambda: supervisor.facts.get("renewal_refused") == "ENROLMENT_UNAVAILABLE", 20.0
    )
    assert supervisor.facts["certificate_ends"] == ends
    assert supervisor.facts["connected"] == 1
    # 2. Somebody does: it has another certificate, and uses it from the next start on.
    with enrolment(cloud):
        supervisor.until(lambda: supervisor.facts.get("certificate_ends", 0) > ends, 20.0)
    assert supervisor.facts["renewal_refused"] == ""
    assert shown(cloud) == f"{first.serial_number:x}"
    supervisor.kill()
    assert "certificate renewed" in supervisor.last_errors
    supervisor.facts = {}
    supervisor.start()
    until(lambda: {shown(cloud)} == serials(cloud, "renewal"))
    # 3. It is expelled: it says so, and does its work.
    supervisor.until(lambda: supervisor.facts.get("connected") == 1)
    cloud.run("expel", AGENT)
    supervisor.until(lambda: supervisor.facts.get("connected") == 0)
    until(lambda: cloud.log().count("CERTIFICATE_REVOKED") > 1)
    supervisor.detect(report_pb2.Detection(id="after", template_type=1))
    supervisor.until_stored()
    assert supervisor.logged() == ["after"]
    assert supervisor.stop() == 0
    assert "CERTIFICATE_REVOKED" in supervisor.last_errors
