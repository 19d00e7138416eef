"""What claims promise, wherever they are kept."""

from __future__ import annotations

import os
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversimple.errors import ClaimsError
from conversimple.runtime.claims import Claims, open_claims
from tests.conftest import finished, python, read_line
from tests.runtime.claiming import HOLDER, WORKER, Opening
from tests.support.redis import RedisServer
from tests.support.threads import eventually

#: Of leases that a test waits for, and of those that it does not.
SHORT, LONG = 0.3, 60.0


@pytest.fixture(params=["file", pytest.param("redis", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder, or a server, that is empty."""
    if request.param == "file":
        return f"file:{tmp_path}/claims"
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.address


@pytest.fixture
def opened(place: str) -> Iterator[Opening]:
    """Opens claims in this place, of one more worker each time."""
    with ExitStack() as stack:

        def opening(customer: str = "c1", lease: float = LONG) -> Claims:
            claims = open_claims(place, customer, lease)
            stack.callback(claims.close)
            return claims

        yield opening


def test_one_worker_takes_it(opened: Opening) -> None:
    """It may take it again; the other one learns that it is not its own."""
    one, other = opened(), opened()
    assert one.take("conv_1", "shop")
    assert one.holds("conv_1")
    assert not other.take("conv_1", "shop")
    assert not other.holds("conv_1")
    assert one.take("conv_1", "shop")
    assert one.renew() == other.renew() == []
    assert one.holds("conv_1")


def test_what_is_given_back_is_free(opened: Opening) -> None:
    """Another worker finds it, and takes it."""
    one, other = opened(), opened()
    one.take("conv_1", "shop")
    assert other.free() == {}
    one.release("conv_1", over=False)
    assert not one.holds("conv_1")
    assert one.renew() == []
    assert one.free() == other.free() == {"conv_1": "shop"}
    assert other.take("conv_1", "shop")
    assert one.free() == other.free() == {}


def test_what_is_noted_is_found_by_who_comes_later(opened: Opening) -> None:
    """With what was said of it last."""
    one = opened()
    one.note("conv_1", "shop")
    one.note("conv_2", "shop")
    one.note("conv_1", "bank")
    assert opened().free() == {"conv_1": "bank", "conv_2": "shop"}


def test_a_note_takes_nothing_from_its_holder(opened: Opening) -> None:
    """All workers hear of a conversation, one after another."""
    one, other = opened(), opened()
    one.take("conv_1", "shop")
    other.note("conv_1", "shop")
    assert other.free() == {}
    assert not other.take("conv_1", "shop")
    assert one.holds("conv_1")


def test_what_is_over_is_forgotten(opened: Opening) -> None:
    """By whomever it is said, if nobody else holds it."""
    one, other = opened(), opened()
    one.take("conv_1", "shop")
    one.release("conv_1", over=True)
    assert not one.holds("conv_1")
    one.note("conv_2", "shop")
    other.release("conv_2", over=True)
    other.release("conv_3", over=True)
    assert one.free() == other.free() == {}
    assert one.renew() == []


def test_what_others_say_is_over_ends_with_its_holder(opened: Opening) -> None:
    """That one keeps it until it gives it back; then nobody gets it."""
    one, other = opened(), opened()
    one.take("conv_1", "shop")
    other.release("conv_1", over=True)
    assert one.free() == other.free() == {}
    assert one.renew() == []
    assert one.holds("conv_1")
    one.release("conv_1", over=False)
    assert one.free() == other.free() == {}
    one.note("conv_1", "shop")
    assert other.take("conv_1", "shop")


def test_what_is_not_held_is_not_given_back(opened: Opening) -> None:
    """Unless it is over, nothing happens."""
    one, other = opened(), opened()
    one.take("conv_1", "shop")
    other.release("conv_1", over=False)
    other.release("unheard_of", over=False)
    assert one.renew() == []
    assert one.holds("conv_1")
    assert other.free() == {}


def test_who_closes_gives_everything_back(opened: Opening) -> None:
    """At once; it can be told twice, and is the end."""
    one, other = opened(), opened()
    names = [f"conv_{number}" for number in range(20)]
    assert all(one.take(name, "shop") for name in names)
    one.close()
    one.close()
    assert not any(one.holds(name) for name in names)
    assert other.free() == dict.fromkeys(names, "shop")
    assert all(other.take(name, "shop") for name in names)
    with pytest.raises(ClaimsError, match="closed"):
        one.take("conv_1", "shop")


def test_customers_share_nothing_but_the_place(opened: Opening) -> None:
    """Whatever their names are."""
    customers = ["c1", "c2", "C1", "", "}", "{c1}", "c1}:claims", "../c1", "ü\ud800"]
    every = {customer: opened(customer) for customer in customers}
    for customer, claims in every.items():
        assert claims.take("conv_1", customer)
        claims.note("conv_2", customer)
    for customer, claims in every.items():
        assert opened(customer).free() == {"conv_2": customer}


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(name=st.text(max_size=1000), kind=st.text(max_size=50))
def test_names_are_any_text(opened: Opening, name: str, kind: str) -> None:
    """They come from the platform, and go into file names and keys."""
    _passes(opened, name, kind)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "x" * 1000, "\U0001f600" * 1000, "\ud800", "a\0b\n"]
)
def test_names_may_be_bad(opened: Opening, name: str) -> None:
    """Half a character is a text in JSON, too."""
    _passes(opened, name, name)


def _passes(opened: Opening, name: str, kind: str) -> None:
    one, other = opened(), opened()
    assert one.take(name, kind) and not other.take(name, kind)
    assert one.renew() == [] and one.holds(name)
    one.close()
    assert other.free() == {name: kind}
    other.release(name, over=True)
    assert other.free() == {}
    other.close()


def test_a_killed_worker_loses_what_it_holds(place: str, opened: Opening) -> None:
    """Another one takes it within the time of a lease."""
    with python(HOLDER, place, str(SHORT)) as process:
        assert read_line(process.stdout) == "True"
        process.kill()
        process.wait()
        claims = opened(lease=SHORT)
        assert eventually(claims.free) == {"conv_1": "shop"}
        assert claims.take("conv_1", "shop")


#: What a worker does; the numbers are of workers and names.
STEPS = st.one_of(
    st.tuples(st.just("note"), st.integers(0, 2), st.integers(0, 3)),
    st.tuples(st.just("take"), st.integers(0, 2), st.integers(0, 3)),
    st.tuples(st.just("release"), st.integers(0, 2), st.integers(0, 3)),
    st.tuples(st.just("end"), st.integers(0, 2), st.integers(0, 3)),
    st.tuples(st.just("reopen"), st.integers(0, 2), st.just(0)),
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEPS, max_size=30))
def test_any_steps_end_where_they_should(
    opened: Opening, steps: list[tuple[str, int, int]]
) -> None:
    """What workers hold and find free is what a dictionary says."""
    customer = uuid.uuid4().hex
    workers = [opened(customer) for _ in range(3)]
    noted: dict[str, str] = {}
    held: dict[str, int] = {}
    for count, (step, worker, number) in enumerate(steps):
        name, kind, claims = f"conv_{number}", str(count), workers[worker]
        is_mine = held.get(name) == worker
        if step in ("note", "take"):
            noted[name] = kind
        if step == "note":
            claims.note(name, kind)
        elif step == "take":
            assert claims.take(name, kind) == (held.setdefault(name, worker) == worker)
        elif step == "reopen":
            claims.close()
            workers[worker] = opened(customer)
            held = {n: holder for n, holder in held.items() if holder != worker}
        else:
            claims.release(name, over=step == "end")
            if is_mine:
                del held[name]
            if step == "end":
                noted.pop(name, None)
        free = {n: kind for n, kind in noted.items() if n not in held}
        for number, claims in enumerate(workers):
            assert claims.free() == free
            assert claims.renew() == []
            for name in noted.keys() | held.keys():
                assert claims.holds(name) == (held.get(name) == number)
    for claims in workers:
        claims.close()


#: Workers that take what they can, of a number of names, from the same moment on. They
#: are forked, because to start as many takes long; each opens its own claims after it.
RIVALS = """
import os, sys
import conversimple.runtime.fileclaims, conversimple.runtime.redisclaims
from conversimple.runtime.claims import open_claims
gate, opener = os.pipe()
for _ in range(int(sys.argv[2])):
    if os.fork() == 0:
        os.close(opener)
        claims = open_claims(sys.argv[1], "c1", 60.0)
        os.write(1, b"ready\\n")
        os.read(gate, 1)
        names = map(str, range(int(sys.argv[3])))
        taken = [name for name in names if claims.take(name, "shop")]
        os.write(1, " ".join(taken).encode() + b"\\n")
        os.read(0, 1)
        os._exit(0)
os.read(0, 1)
os.close(opener)
sys.stdin.read()
"""


def _race(place: str, workers: int, names: int) -> None:
    with python(RIVALS, place, str(workers), str(names)) as process:
        assert [read_line(process.stdout) for _ in range(workers)] == [
            "ready"
        ] * workers
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        taken = [read_line(process.stdout).split() for _ in range(workers)]
        assert Counter(name for some in taken for name in some) == {
            str(number): 1 for number in range(names)
        }
        with closing(open_claims(place, "c1")) as late:
            assert late.free() == {}


@pytest.mark.slow
def test_a_name_is_taken_by_one_of_many(place: str) -> None:
    """However many processes want it at the same moment."""
    _race(place, workers=8, names=200)


@pytest.mark.slow
def test_what_the_dead_held_is_taken_by_one_of_many(
    place: str, opened: Opening
) -> None:
    """Of all workers that see them dead at the same moment."""
    names = 100
    take_all = f"print(all([claims.take(str(n), 'shop') for n in range({names})]))"
    with python(WORKER + take_all + "\nsys.stdin.read()", place, str(SHORT)) as process:
        assert read_line(process.stdout) == "True"
    claims = opened()
    eventually(lambda: len(claims.free()) == names)
    _race(place, workers=8, names=names)


def test_a_forked_child_holds_nothing(place: str, opened: Opening) -> None:
    """It is refused, and its end, or its close, leave the parent what it has."""
    code = WORKER + """
assert claims.take("conv_1", "shop")
child = os.fork()
if not child:
    from conversimple.errors import ClaimsError
    assert not claims.holds("conv_1")
    for use in (claims.renew, claims.free, lambda: claims.take("conv_2", "shop")):
        try:
            use()
        except ClaimsError as error:
            assert "fork" in str(error)
        else:
            assert False
    claims.close()
    other = open_claims(sys.argv[1], "c1", 60.0)
    assert not other.take("conv_1", "shop") and other.take("conv_2", "shop")
    other.close()
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert claims.renew() == [] and claims.holds("conv_1")
print(claims.free())
sys.stdin.read()
"""
    with python(code, place, str(LONG)) as process:
        assert read_line(process.stdout) == "{'conv_2': 'shop'}"
        assert not opened().take("conv_1", "shop")
        assert finished(process) == ("", "")


def test_a_forked_child_keeps_nothing_for_its_dead_parent(
    place: str, opened: Opening
) -> None:
    """Though it lives on with what it has inherited."""
    code = WORKER + """
claims.take("conv_1", "shop")
if os.fork():
    os.read(0, 1)
print("forked")
os.read(0, 1)
"""
    with python(code, place, str(SHORT)) as process:
        assert read_line(process.stdout) == "forked"
        process.kill()
        process.wait()
        claims = opened(lease=SHORT)
        assert eventually(claims.free) == {"conv_1": "shop"}


def test_who_is_paused_and_not_overtaken_goes_on(place: str, opened: Opening) -> None:
    """A process is stopped and continued, and still has what nobody took."""
    code = WORKER + """
claims.take("conv_1", "shop")
print("taken")
while sys.stdin.readline():
    print(claims.holds("conv_1"), claims.renew(), claims.holds("conv_1"))
"""
    with python(code, place, str(LONG)) as process:
        assert read_line(process.stdout) == "taken"
        os.kill(process.pid, signal.SIGSTOP)
        assert not opened().take("conv_1", "shop")
        os.kill(process.pid, signal.SIGCONT)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert read_line(process.stdout) == "True [] True"
