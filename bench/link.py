"""How many detections per second does the link store durably and deliver, and in what memory?"""

import sys
import time
from pathlib import Path

from bench.harness import Figure, from_samples, run
from bulkhead.v1 import channel_file_pb2, report_pb2
from tests.process.link_cloud import ScriptedCloud, running_cloud
from tests.process.link_supervisor import ScriptedSupervisor, running_link

REPORTS = 10_000
QUICK_REPORTS = 1_500
BATCHES = (1, 20)
"""Detections per report: one is what a quiet host sends, twenty what a noisy one does."""

SINGLE_REPORTS = 300
SECONDS = 120.0
KIB_PER_MIB = 1024
TEXTS = (b"/usr/bin/python3.11", b"python3.11 -c import os; os.system('id')" + b" --flag" * 20)


def measure(*, quick: bool) -> list[Figure]:
    """Rates for a supervisor that sends as fast as the link takes it, then single reports."""
    reports = QUICK_REPORTS if quick else REPORTS
    figures = []
    for size in BATCHES:
        with running_cloud() as cloud, running_link(cloud.address) as supervisor:
            figures += _rates(cloud, supervisor, reports // size, size)
    with running_cloud() as cloud, running_link(cloud.address) as supervisor:
        supervisor.until(lambda: supervisor.facts.get("connected") == 1)
        idle = _memory_mib(supervisor.running.pid)
        figures += _latencies(supervisor)
    return [*figures, Figure("memory, connected and idle (PSS)", idle, "MiB", "<= 80")]


def _rates(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor, reports: int, size: int
) -> list[Figure]:
    supervisor.until(lambda: supervisor.facts.get("connected") == 1)
    for number in range(reports):
        supervisor.detect(*(_detection(number * size + one) for one in range(size)))
    before = _processor_seconds(supervisor.running.pid)
    began = time.monotonic()
    supervisor.until_stored(SECONDS)
    stored = time.monotonic() - began
    supervisor.until(lambda: len(cloud.stored) == reports, SECONDS)
    delivered = time.monotonic() - began
    used = _processor_seconds(supervisor.running.pid) - before
    total = reports * size
    if cloud.detections() != [f"d{number}" for number in range(total)]:
        raise RuntimeError("detections were lost, doubled or out of order")
    name = f"{size} detection{'s' if size > 1 else ''} per report"
    return [
        Figure(f"stored durably, {name}", total / stored, "detections/s"),
        Figure(f"delivered and confirmed, {name}", total / delivered, "detections/s"),
        Figure(f"processor time, {name}", used / total * 1e6, "CPU µs/detection"),
        Figure(f"memory under that load, {name} (PSS)", _memory_mib(supervisor.running.pid), "MiB"),
    ]


def _latencies(supervisor: ScriptedSupervisor) -> list[Figure]:
    """From handing one report over to its confirmation, with nothing else to do."""
    samples = []
    for number in range(SINGLE_REPORTS):
        supervisor.detect(_detection(number))
        began = time.perf_counter()
        supervisor.until_stored()
        samples.append((time.perf_counter() - began) * 1e3)
    return [
        from_samples("one report stored durably, p50", samples, unit="ms"),
        from_samples("one report stored durably, p99", samples, unit="ms", percent=99),
    ]


def _detection(number: int) -> report_pb2.Detection:
    return report_pb2.Detection(
        id=f"d{number}",
        time_unix_ns=time.time_ns(),
        template_type=1,
        sequence=number,
        instance_id="proc-interpreter-one-liner",
        title="An interpreter runs a command from its command line",
        attack_techniques=["T1059.006"],
        rung=report_pb2.RUNG_BPF_BTF,
        inputs=[
            channel_file_pb2.FieldInput(field=field, value=channel_file_pb2.Value(text=text))
            for field, text in zip((1, 2, 11, 12), TEXTS * 2, strict=True)
        ],
    )


def _memory_mib(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    (line,) = (line for line in rollup.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) / KIB_PER_MIB


def _processor_seconds(pid: int) -> float:
    """User and system time of a process, all threads: nanoseconds in its schedstat per thread."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    times = ((thread / "schedstat").read_text(encoding="ascii").split()[0] for thread in threads)
    return sum(map(int, times)) / 1e9


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
