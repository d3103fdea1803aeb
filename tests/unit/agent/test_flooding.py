"""From places to names: each refused event under one process at most, and told once."""

from hypothesis import given
from hypothesis import strategies as st

from agent.supervisor.flooding import Flooding, documents, most_refused, words
from agent.supervisor.limits import LIMITS
from content.flooders import PID_BITS, TICK_NANOSECONDS, Flooder, Place

FILE, NETWORK = 2, 3


def place(pid: int, refused: int, ticks: int = 7) -> Place:
    """A place with a process in it."""
    return Place(ticks << PID_BITS | pid, refused)


def flooder(pid: int, template_type: int = FILE) -> Flooder:
    """The process in such a place."""
    return Flooder(template_type, pid, 7 * TICK_NANOSECONDS)


def test_what_a_place_counts_belongs_to_the_process_that_is_in_it_now() -> None:
    """A process would pay for the one that had the place before."""
    flooding = Flooding()
    flooding.look([(FILE, place(1, 10))])
    flooding.look([(FILE, place(2, 13))])
    flooding.look([(FILE, place(2, 15))])
    assert flooding.take(FILE, 100) == {flooder(1): 10, flooder(2): 15}
    assert not flooding.take(FILE, 100)


def test_places_of_one_process_are_added_up() -> None:
    """A process with two places would be named twice."""
    flooding = Flooding()
    flooding.look([(FILE, place(1, 10)), (FILE, place(1, 4)), (NETWORK, place(1, 1))])
    assert flooding.take(FILE, 14) == {flooder(1): 14}
    assert flooding.take(NETWORK, 5) == {flooder(1, NETWORK): 1}


def test_a_name_that_comes_before_its_count_waits_for_it() -> None:
    """A record would name more events than it counts, and the next one fewer."""
    flooding = Flooding()
    flooding.look([(FILE, place(1, 10))])
    assert flooding.take(FILE, 8) == {flooder(1): 8}
    assert flooding.take(FILE, 8) == {flooder(1): 2}


def test_a_new_collection_counts_from_zero() -> None:
    """Floods after the change would go unnamed until they outgrow those before."""
    flooding = Flooding()
    flooding.look([(FILE, place(1, 10))])
    flooding.forget()
    flooding.look([(FILE, place(2, 3))])
    assert flooding.take(FILE, 100) == {flooder(2): 3}


@given(
    st.lists(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 50)), min_size=3, max_size=3)),
    st.integers(0, 20),
)
def test_each_event_is_named_once(looks: list[list[tuple[int, int]]], count: int) -> None:
    """Names would add up to more than was refused."""
    flooding, told, refused = Flooding(), 0, 0
    places = [place(1, 0)] * 3
    for look in looks:
        for index, (pid, more) in enumerate(look):
            passed_on = places[index].process != place(pid, 0).process
            places[index] = place(pid, more + (0 if passed_on else places[index].refused))
            refused += more
        flooding.look([(FILE, one) for one in places])
        taken = flooding.take(FILE, count).total()
        assert taken <= count
        told += taken
    assert told + flooding.take(FILE, 1 << 40).total() == refused


def test_names_without_counts_do_not_pile_up() -> None:
    """A hostile collector could eat the supervisor's memory."""
    flooding = Flooding()
    for pid in range(1, 1000):
        flooding.look([(FILE, place(pid, pid))])
    assert len(flooding.take(FILE, 1 << 40)) == LIMITS.waiting_processes


def test_a_record_names_those_that_were_refused_most() -> None:
    """A record could grow without bound, or hide the worst behind the many."""
    flooding = Flooding()
    flooding.look([(FILE, place(pid, pid)) for pid in range(1, 31)])
    named = most_refused(flooding.take(FILE, 1000))
    shown = documents(named)
    assert [one["pid"] for one in shown] == list(range(30, 30 - LIMITS.named_processes, -1))
    assert shown[0] == {"pid": 30, "start_time": 7 * TICK_NANOSECONDS, "refused": 30}
    assert words(shown[:1]) == f"pid 30 (started {7 * TICK_NANOSECONDS}) 30"
