"""Who may start now: rate, workers, probes, and the nearest expiry first."""

from __future__ import annotations

from credfresh.errors import Scope
from credfresh.life.admission import Admission, Lane

HERE = Lane("eu-west-1", "ci")
THERE = Lane("us-east-1", "ci")


def ended(admission: Admission, lane: Lane, failed: Scope | None) -> None:
    """Let one attempt start and end on `lane`."""
    admission.enqueue("first", lane, 0)
    assert ["first"] == admission.admit(-10.0, slots=1)
    admission.finished(lane, failed)


def test_the_nearest_expiry_goes_first() -> None:
    """Slots go to the profile whose published credentials expire first."""
    admission = Admission(calls_per_second=1000)
    for name, expires in (("late", 300.0), ("never", 0.0), ("soon", 10.0)):
        admission.enqueue(name, HERE, expires)

    assert ["never", "soon", "late"] == admission.admit(100.0, slots=10)


def test_no_more_attempts_start_than_workers_are_free() -> None:
    """A profile that finds no free worker stays in the queue."""
    admission = Admission(calls_per_second=1000)
    for n in range(5):
        admission.enqueue(f"p{n}", HERE, n)

    assert ["p0", "p1"] == admission.admit(0.0, slots=2)
    assert 3 == admission.waiting()


def test_the_rate_is_kept_over_time() -> None:
    """Over ten seconds no more attempts start than the rate allows, plus one burst."""
    admission = Admission(calls_per_second=50)
    for n in range(2000):
        admission.enqueue(f"p{n:04}", HERE, 0)

    started = sum(len(admission.admit(t / 100, slots=100)) for t in range(1001))

    assert 500 <= started <= 551


def test_next_in_says_when_the_rate_allows_another_attempt() -> None:
    """`next_in` says how long to sleep, and None when nothing waits for the rate."""
    admission = Admission(calls_per_second=0.5)
    assert admission.next_in(0.0) is None
    for n in range(2):
        admission.enqueue(f"p{n}", HERE, 0)

    assert ["p0"] == admission.admit(0.0, slots=5)
    assert 2.0 == admission.next_in(0.0)
    assert ["p1"] == admission.admit(2.0, slots=5)


def test_next_in_is_none_while_every_worker_is_busy() -> None:
    """While every worker is busy `next_in` is None: the attempt starts when one is free (I6)."""
    admission = Admission(calls_per_second=1000)
    for n in range(2):
        admission.enqueue(f"p{n}", HERE, n)

    assert ["p0"] == admission.admit(0.0, slots=1)
    assert admission.next_in(10.0) is None
    assert [] == admission.admit(10.0, slots=0)
    assert admission.next_in(10.0) is None
    assert ["p1"] == admission.admit(10.0, slots=1)


def test_attempts_that_wait_for_the_rate_start_together() -> None:
    """One wake-up starts what the rate allows in a second, and no more."""
    admission = Admission(calls_per_second=32)
    for n in range(70):
        admission.enqueue(f"p{n:02}", HERE, n)
    assert 32 == len(admission.admit(0.0, slots=100))

    first = admission.next_in(0.0)
    assert first is not None
    assert 0.96 < first <= 1.0
    assert 32 == len(admission.admit(first, slots=100))

    second = admission.next_in(first)
    assert second is not None
    assert 0.18 < second < 0.2
    assert 6 == len(admission.admit(first + second, slots=100))


def test_no_more_than_fifty_start_at_once_at_any_rate() -> None:
    """Six hundred at once would be throttled by STS, which counts them in less than a second."""
    admission = Admission(calls_per_second=600)
    for n in range(600):
        admission.enqueue(f"p{n:03}", HERE, n)

    assert 50 == len(admission.admit(0.0, slots=600))


def test_a_suspect_endpoint_gets_one_probe() -> None:
    """After a transport failure one attempt at a time goes there; others are not held up."""
    admission = Admission(calls_per_second=1000)
    ended(admission, HERE, Scope.ENDPOINT)
    for n in range(3):
        admission.enqueue(f"here{n}", HERE, n)
        admission.enqueue(f"there{n}", THERE, 100 + n)

    assert ["here0", "there0", "there1", "there2"] == admission.admit(0.0, slots=10)
    assert [] == admission.admit(1.0, slots=10)


def test_a_success_opens_the_endpoint_again() -> None:
    """When the probe succeeds, all that wait for the endpoint may start."""
    admission = Admission(calls_per_second=1000)
    ended(admission, HERE, Scope.ENDPOINT)
    for n in range(3):
        admission.enqueue(f"p{n}", HERE, n)
    admission.admit(0.0, slots=10)

    admission.finished(HERE, None)

    assert ["p1", "p2"] == admission.admit(1.0, slots=10)


def test_a_failed_probe_is_followed_by_another_probe() -> None:
    """While the endpoint stays silent there is always one probe, never two."""
    admission = Admission(calls_per_second=1000)
    ended(admission, HERE, Scope.ENDPOINT)
    for n in range(3):
        admission.enqueue(f"p{n}", HERE, n)

    assert ["p0"] == admission.admit(0.0, slots=10)
    admission.finished(HERE, Scope.ENDPOINT)
    assert ["p1"] == admission.admit(1.0, slots=10)


def test_a_suspect_source_gets_one_probe_at_each_endpoint() -> None:
    """A probe that hangs at one endpoint does not hold up one that would succeed at another."""
    admission = Admission(calls_per_second=1000)
    ended(admission, HERE, Scope.SOURCE)
    for n in range(3):
        admission.enqueue(f"here{n}", HERE, n)
        admission.enqueue(f"there{n}", THERE, n)

    assert ["here0", "there0"] == admission.admit(0.0, slots=10)
    admission.finished(HERE, Scope.SOURCE)
    assert ["here1"] == admission.admit(1.0, slots=10)
    admission.finished(THERE, None)
    assert ["there1", "here2", "there2"] == admission.admit(2.0, slots=10)


def test_an_answer_about_the_request_shows_that_the_endpoint_lives() -> None:
    """AccessDenied for one profile ends the suspicion of its endpoint."""
    admission = Admission(calls_per_second=1000)
    ended(admission, HERE, Scope.ENDPOINT)
    ended(admission, HERE, Scope.PROFILE)
    for n in range(2):
        admission.enqueue(f"p{n}", HERE, n)

    assert ["p0", "p1"] == admission.admit(0.0, slots=10)


def test_a_discarded_name_does_not_start() -> None:
    """A profile that is gone leaves the queue."""
    admission = Admission(calls_per_second=1000)
    for n in range(3):
        admission.enqueue(f"p{n}", HERE, n)

    admission.discard("p1")
    admission.discard("unknown")

    assert ["p0", "p2"] == admission.admit(0.0, slots=10)


def test_queueing_twice_starts_once() -> None:
    """A profile waits at most once."""
    admission = Admission(calls_per_second=1000)
    admission.enqueue("p", HERE, 0)
    admission.enqueue("p", HERE, 0)

    assert ["p"] == admission.admit(0.0, slots=10)


def shared(workers: int) -> Admission:
    """Return an admission for two endpoints that share the workers."""
    admission = Admission(calls_per_second=1000)
    admission.limit(1000, workers, [HERE, THERE])
    return admission


def test_no_endpoint_takes_all_workers_while_there_is_another() -> None:
    """A hundred profiles due at one endpoint get half of the workers; the other has the rest."""
    admission = shared(workers=8)
    for n in range(100):
        admission.enqueue(f"here{n}", HERE, n)
    assert 4 == len(admission.admit(0.0, slots=8))
    admission.enqueue("there", THERE, 1e9)

    assert ["there"] == admission.admit(1.0, slots=4)


def test_the_only_endpoint_may_take_all_workers() -> None:
    """With one endpoint in use there is no other to leave a worker to."""
    admission = Admission(calls_per_second=1000)
    admission.limit(1000, 8, [HERE, Lane(HERE.endpoint, "other")])
    for n in range(16):
        admission.enqueue(f"p{n}", Lane(HERE.endpoint, ("ci", "other")[n % 2]), n)

    assert 8 == len(admission.admit(0.0, slots=8))


def test_hung_threads_of_one_endpoint_leave_workers_to_others() -> None:
    """With as many hung threads as workers there, no more attempts go there until one ends."""
    admission = shared(workers=4)
    for n in range(100):
        admission.enqueue(f"here{n}", HERE, n)
    for n in range(4):
        assert [f"here{n}"] == admission.admit(float(n), slots=1)
        admission.finished(HERE, Scope.ENDPOINT)
        admission.hangs(HERE)
    assert [] == admission.admit(10.0, slots=4)

    admission.hangs_no_more(HERE)

    assert ["here4"] == admission.admit(11.0, slots=4)


def test_unused_lanes_are_forgotten() -> None:
    """What was suspected of an endpoint is forgotten when it leaves the configuration."""
    admission = shared(workers=8)
    ended(admission, HERE, Scope.ENDPOINT)
    admission.limit(1000, 8, [THERE])
    admission.limit(1000, 8, [HERE])
    for n in range(2):
        admission.enqueue(f"p{n}", HERE, n)

    assert ["p0", "p1"] == admission.admit(0.0, slots=10)


def test_a_probe_that_made_no_call_is_followed_by_another_probe() -> None:
    """An attempt that made no call proves nothing: one probe still goes first."""
    admission = Admission(calls_per_second=1000)
    ended(admission, HERE, Scope.ENDPOINT)
    ended(admission, HERE, Scope.NONE)
    for n in range(2):
        admission.enqueue(f"p{n}", HERE, n)

    assert ["p0"] == admission.admit(0.0, slots=10)


def lanes(*names: str) -> list[Lane]:
    """Return lanes written as `endpoint/source`."""
    return [Lane(*name.split("/")) for name in names]


def test_all_who_waited_for_a_probe_start_when_it_succeeds() -> None:
    """They go to the same endpoint with keys of other sources, and there are workers for all."""
    a, b, c, _ = each = lanes("E/a", "E/b", "E/c", "other/a")
    admission = Admission(50)
    admission.limit(50, 16, each)
    ended(admission, a, Scope.ENDPOINT)
    admission.enqueue("probe", a, 0.0)
    assert ["probe"] == admission.admit(0.0, 16)
    admission.enqueue("second", b, 1.0)
    admission.enqueue("third", c, 2.0)
    assert [] == admission.admit(0.0, 15)
    admission.finished(a, None)

    assert ["second", "third"] == admission.admit(1.0, 16)


def test_who_may_not_start_after_all_makes_way_for_the_next() -> None:
    """Its endpoint is open again, and its source is not."""
    x, y, away, here = each = lanes("E/s", "E/t", "F/s", "E/u")
    admission = Admission(50)
    admission.limit(50, 2, each)  # one at each endpoint, and with each source
    admission.enqueue("away", away, 0.0)
    admission.enqueue("here", here, 0.0)
    assert {"away", "here"} == set(admission.admit(0.0, 2))
    admission.enqueue("x", x, 1.0)
    admission.enqueue("y", y, 2.0)
    assert [] == admission.admit(1.0, 2)
    admission.finished(here, None)

    assert ["y"] == admission.admit(1.0, 2)


def test_more_workers_let_in_who_waited_for_one() -> None:
    """A reload takes effect at once, not when something ends."""
    here, _ = each = lanes("E/s", "F/t")
    admission = Admission(50)
    admission.limit(50, 2, each)
    admission.enqueue("first", here, 0.0)
    admission.enqueue("second", here, 1.0)
    assert ["first"] == admission.admit(0.0, 2)
    admission.limit(50, 16, each)

    assert ["second"] == admission.admit(0.0, 15)


def test_those_that_stay_keep_their_order_when_most_are_taken_out() -> None:
    """A reload takes most profiles away: the nearest to expiry still goes first."""
    admission = Admission(1000)
    waiting = {f"p{n}": float(n * 37 % 101) for n in range(100)}
    for name, expires in waiting.items():
        admission.enqueue(name, HERE, expires)
    stay = {name: expires for name, expires in waiting.items() if expires % 5 in (0.0, 4.0)}
    for name in [name for name in waiting if name not in stay]:
        admission.discard(name)

    assert sorted(stay, key=stay.__getitem__) == admission.admit(0.0, slots=100)
