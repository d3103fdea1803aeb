"""Every limit of the supervisor in one table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SupervisorLimits:
    """Counts, bytes and seconds; named with their unit."""

    payload_bytes: int = 32 * 1024 * 1024
    pending_content: int = 64
    template_type: int = 65535
    problem_characters: int = 500
    outcome_bytes: int = 64 * 1024
    # Evaluators: how long each phase may last, and how long a silence means death.
    load_seconds: float = 30.0
    trial_seconds: float = 20.0
    # Not counted is what it was ready for and waited for a processor: who is starved does not hang.
    heartbeat_seconds: float = 1.5
    # How often at most that waiting is asked for while there is news.
    starvation_look_seconds: float = 0.25
    drain_seconds: float = 1.0
    stop_seconds: float = 2.0
    # How long all content stays switched off once nothing else has helped.
    degraded_seconds: float = 60.0
    # How long to wait before a manifest that the disk refused is written again.
    commit_again_seconds: float = 1.0
    # A role that lived this long is not in a crash loop: another one is started at once. At this
    # length even an endless loop of deaths costs less than a third of a processor.
    stable_seconds: float = 1.0
    # After this long, an evaluator's death without a suspect is not in a row with earlier ones.
    calm_seconds: float = 10.0
    # How long to wait where the system could not start an evaluator at all.
    start_again_seconds: float = 0.5
    restart_first_seconds: float = 0.1
    restart_cap_seconds: float = 5.0
    collector_deaths_per_rung: int = 3
    # Characters of what compiler, verifier or kernel said when they refused a rung: the end of it,
    # where the reason stands.
    refusal_characters: int = 2_000
    collector_seconds: float = 60.0
    # Processes that ran already: how long their collector waits for content, and how long it may
    # say nothing once it has been told to begin.
    seeding_content_seconds: float = 60.0
    seeding_silence_seconds: float = 90.0
    # How long a Template Type stays attached after nothing needs it any more.
    detach_after_seconds: float = 60.0
    # How much of each turn goes into closing attachments, of which each takes the kernel a moment.
    detach_seconds_per_turn: float = 0.02
    # What was written while attachments were closed is read in this time.
    settle_seconds: float = 0.5
    # A Template Type that can't be joined: tries, how long to wait between them (doubled each
    # time), and how long from then on, while it is reported as not to be had.
    joins: int = 3
    # Content of several types that arrives together is joined together, by one compiler: so long
    # nothing new has to be needed.
    join_settle_seconds: float = 0.1
    join_first_seconds: float = 1.0
    join_again_seconds: float = 300.0
    # Processes of this run that are known to be ours.
    own_processes: int = 4096
    own_processes_per_message: int = 1024
    # What shall be seen of our end first has numbers from here on, above those of attachments.
    first_high_descriptor: int = 768
    # How often a message channel is read before others get their turn.
    messages_per_turn: int = 256
    # How often the next step is tried while something is under way; else we sleep until it is due.
    tick_seconds: float = 0.1
    # After this long the service manager is told that we are ready, whether we protect or not.
    ready_seconds: float = 30.0
    # The link is told of a change that matters after this long at the soonest, and of the rest
    # after that long.
    state_seconds: float = 1.0
    state_idle_seconds: float = 5.0
    losses_seconds: float = 1.0
    # What the kernel has skipped is read program by program, in some ten microseconds each.
    skipped_seconds: float = 10.0
    # How long losses that are less than an event are gathered before they are reported.
    small_losses_seconds: float = 30.0
    # Loss records that the status shows.
    loss_records: int = 50
    # Processes that one loss record, or the sum of a Template Type, names.
    named_processes: int = 8
    # Places in which probes name processes; and per Template Type, processes that wait for the
    # count that they belong to.
    flooder_places: int = 1024
    waiting_processes: int = 64
    # A polling collector that says nothing for so long is replaced; it beats every half second.
    collector_silence_seconds: float = 10.0
    # Reports that the link has not stored yet.
    reports: int = 100_000
    # What one evaluator may say of events of one ring before it accounts for them.
    held_bytes: int = 64 * 1024 * 1024
    held_frames: int = 4096
    report_bytes: int = 64 * 1024 * 1024
    # An evaluator that has had so much memory came up against its limit, which is 1 GiB of its own
    # (agent.sandbox.profiles); a little of that is never touched.
    evaluator_memory_bytes: int = 960 * 1024 * 1024
    # What a role writes on standard error, per second; more is dropped and counted.
    log_bytes_per_second: int = 64 * 1024
    status_bytes: int = 64 * 1024 * 1024
    previous_versions: int = 2
    # Instances of one Channel File that were skipped at run time: so many are named.
    skipped_instances: int = 50
    quarantined: int = 1024
    # Rollback orders that are remembered as carried out, and for how long an order may be valid.
    orders: int = 1024
    order_days: int = 92
    # Of a path that the status and the log show.
    shown_path_characters: int = 300
    # Instances in quarantine: so many are named to each evaluator, 66 bytes each. Where there are
    # more, the file of the next one is given up as a whole.
    quarantined_instances: int = 256
    # After the first death of an instance, a stand-by without it is kept for so long.
    cautious_seconds: float = 600.0
    # An inquest: how long each throw-away evaluator may take, and how many deaths of theirs narrow
    # it down to one instance (32 parts at a time). How many events wait for theirs.
    inquest_seconds: float = 10.0
    inquest_deaths: int = 4
    inquests_waiting: int = 4
    # Control socket: how long a peer may take to say what it wants, how much of that is read, and
    # how many peers are waited for.
    control_seconds: float = 0.2
    control_bytes: int = 4096
    control_peers: int = 16


LIMITS = SupervisorLimits()
