"""Certificates say who an agent is, and nothing that a malformed name could make of it."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from cloud.authority import (
    SPIFFE_PREFIX,
    Identity,
    agent_id_of,
    create_authority,
    create_issuing,
    issue_server,
)
from cloud.errors import CloudReason, FolderError, KeyFileError
from cloud.files import read_capped, write_whole
from cloud.folder import CloudFolder, serving, sole_server
from cloud.issuing import Issuer, issue_with_new_key, read_agent_certificate

NOW = datetime(2026, 7, 19, 4, 9, tzinfo=UTC)
DAY = timedelta(hours=24)


def issuing() -> Identity:
    """A new issuing authority below a new authority."""
    return create_issuing(create_authority(NOW), NOW)


def names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    """The alternative names of a certificate."""
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_an_agents_certificate_names_it_and_serves_as_a_client_only() -> None:
    """An agent could pose as the cloud, or as somebody else."""
    above = issuing()
    issuer = x509.load_pem_x509_certificate(above.certificate_pem)
    issued, _ = issue_with_new_key(Issuer(above), "web-1", NOW, DAY)
    agent, shown = x509.load_pem_x509_certificates(issued.chain_pem)
    assert shown == issuer
    uris = names(agent).get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == ["spiffe://bulkhead/agent/web-1"]
    assert agent.issuer == issuer.subject
    usage = agent.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    constraints = agent.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not constraints.ca
    assert agent.not_valid_after_utc == NOW + DAY
    read = read_agent_certificate(issued.chain_pem)
    assert read is not None
    assert (read.agent_id, read.serial) == ("web-1", issued.certificate.serial)


def test_the_issuing_authority_is_for_clients_of_our_domain_and_makes_no_other_authority() -> None:
    """Whoever has the online key could pose as the cloud, or make authorities of its own."""
    found = x509.load_pem_x509_certificate(issuing().certificate_pem).extensions
    assert found.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    usage = found.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    names = found.get_extension_for_class(x509.NameConstraints)
    assert names.critical
    assert names.value.permitted_subtrees == [x509.UniformResourceIdentifier("bulkhead")]


def test_the_servers_certificate_names_this_host_only() -> None:
    """Agents could not connect over loopback, or a stolen key would serve elsewhere."""
    authority = create_authority(NOW)
    server = x509.load_pem_x509_certificate(issue_server(authority, NOW).certificate_pem)
    assert names(server).get_values_for_type(x509.DNSName) == ["localhost"]
    assert names(server).get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]


def test_the_servers_certificate_names_what_it_was_asked_to() -> None:
    """Agents on other hosts could not connect."""
    server = issue_server(create_authority(NOW), NOW, ["10.1.2.3", "cloud.example"])
    certificate = x509.load_pem_x509_certificate(server.certificate_pem)
    assert "cloud.example" in names(certificate).get_values_for_type(x509.DNSName)
    addresses = names(certificate).get_values_for_type(x509.IPAddress)
    assert ipaddress.ip_address("10.1.2.3") in addresses


@pytest.mark.parametrize("name", ["", "a b", "-a.example", "*", "a..b", "x" * 254, "é.example"])
def test_a_malformed_server_name_is_not_issued(name: str) -> None:
    """A certificate could name what nobody meant, or nothing that an agent would accept."""
    with pytest.raises(KeyFileError) as refused:
        issue_server(create_authority(NOW), NOW, [name])
    assert refused.value.reason is CloudReason.ADDRESS_INVALID


BAD_IDS = ["", "Web", "-web", "we b", "web/1", "../x", "w" * 64, "web\n", "wéb", "web\x00"]


@pytest.mark.parametrize("agent_id", BAD_IDS)
def test_a_malformed_agent_id_is_neither_issued_nor_believed(agent_id: str) -> None:
    """A name could carry a path, a control character or another agent's name."""
    with pytest.raises(KeyFileError) as refused:
        issue_with_new_key(Issuer(issuing()), agent_id, NOW, DAY)
    assert refused.value.reason is CloudReason.AGENT_ID_INVALID
    assert agent_id_of(SPIFFE_PREFIX + agent_id) is None


def test_only_our_own_names_are_agents() -> None:
    """A certificate for another purpose would open a session."""
    assert agent_id_of("spiffe://bulkhead/agent/web-1") == "web-1"
    for name in ("web-1", "spiffe://other/agent/web-1", "spiffe://bulkhead/server/web-1"):
        assert agent_id_of(name) is None


def test_secrets_do_not_show_in_representations() -> None:
    """A key would end up in a log."""
    authority = create_authority(NOW)
    assert "PRIVATE" not in repr(authority)
    assert "PRIVATE" not in repr(issuing())


def test_a_file_is_read_no_further_than_its_limit(tmp_path: Path) -> None:
    """A huge file would fill the memory."""
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100)
    assert len(read_capped(file, 10)) == 11
    assert len(read_capped(file, 100)) == 100


def test_a_file_that_can_not_be_replaced_stays_as_it_was(tmp_path: Path) -> None:
    """A full disk would leave half a certificate, or a stray file."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(FolderError) as refused:
        write_whole(tmp_path / "folder", b"new")
    assert refused.value.reason is CloudReason.FILE_UNWRITABLE
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(FolderError):
        write_whole(tmp_path / "absent" / "file", b"new")


def test_a_folder_is_served_by_one_process_and_says_so(tmp_path: Path) -> None:
    """Two processes would decide for one fleet, or a dead one would seem to serve."""
    cloud = CloudFolder(tmp_path)
    with sole_server(cloud):
        with pytest.raises(FolderError) as refused, sole_server(cloud):
            pass
        assert refused.value.reason is CloudReason.FOLDER_IN_USE
        assert serving(cloud) is None, "not ready yet"
        cloud.serving.write_text("[]", encoding="ascii")
        assert serving(cloud) is None, "half-written"
    assert serving(cloud) is None
    assert not cloud.serving.exists()
