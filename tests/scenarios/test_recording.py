"""What is done in the console happens again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversimple.scenarios.reading import read_file, read_text
from conversimple.scenarios.recording import Recorder
from conversimple.scenarios.results import Outcome
from conversimple.scenarios.running import run_scenario
from conversimple.scenarios.scenario import Call, Scenario
from conversimple.scenarios.references import expand
from tests.scenarios.conftest import echo, told
from tests.scenarios.test_words import json_values, texts


def read(recorder: Recorder) -> Scenario:
    """What the recorder would write."""
    (scenario,) = read_text(recorder.text(), "x.yaml").scenarios
    return scenario


def test_it_is_written_for_people(tmp_path: Path) -> None:
    """Who may go on with it by hand."""
    recorder = Recorder()
    recorder.started()
    recorder.called("get_weather", {"location": "Oslo"}, result={"temperature": 7})
    recorder.fault("cut")
    recorder.fault("refuse", {"status": 503, "retry_after": None})
    recorder.called(
        "get_weather", {}, error={"type": "invalid_parameters", "message": "no ${x}"}
    )
    recorder.called("think", {}, result=None, seconds=7.2)
    recorder.ended()
    path = tmp_path / "x.yaml"
    recorder.write(path, "a talk")
    assert path.read_text() == """\
# Recorded; run it with: conversimple test FILE --agent PATH
name: a talk
steps:
- start
- call: get_weather
  arguments: {location: Oslo}
  result: {temperature: 7}
- {fault: cut}
- fault: refuse
  options: {status: 503}
- call: get_weather
  error: {type: invalid_parameters, message: 'no $${x}'}
- {call: think, result: null, within: 24}
- end
"""
    assert len(read_file(str(path)).scenarios[0].steps) == len(recorder) == 7


arguments = st.dictionaries(texts, json_values)
names = st.none() | st.sampled_from(["anna", "bert"])
deeds = st.one_of(
    st.tuples(st.just("started"), names),
    st.tuples(st.just("ended"), names),
    st.tuples(st.just("called"), names, arguments, json_values),
    st.tuples(st.just("failed"), names, arguments, texts),
    st.tuples(st.just("fault"), st.sampled_from(["cut", "stall", "redeliver"])),
)


def record(recorder: Recorder, deed: tuple[Any, ...]) -> None:
    """Tell a recorder what was done."""
    if deed[0] == "called":
        recorder.called("echo", deed[2], result=deed[3], conversation=deed[1])
    elif deed[0] == "failed":
        error = {"type": "tool_timeout", "message": deed[3]}
        recorder.called("echo", deed[2], error=error, conversation=deed[1])
    else:
        getattr(recorder, deed[0])(deed[1])


@pytest.mark.slow
@settings(max_examples=50)
@given(st.lists(deeds, max_size=8))
def test_whatever_is_done_can_be_read(done: list[tuple[Any, ...]]) -> None:
    """And says the same."""
    recorder = Recorder()
    for deed in done:
        record(recorder, deed)
    calls = [step for step in read(recorder).steps if isinstance(step, Call)]
    wanted = [deed for deed in done if deed[0] in ("called", "failed")]
    assert len(calls) == len(wanted)
    for call, deed in zip(calls, wanted):
        assert expand(call.arguments, str) == deed[2]
        assert call.conversation == deed[1]
        if deed[0] == "called":
            assert repr(expand(call.expected.result, str)) == repr(deed[3])
        else:
            assert call.expected.error is not None
            assert expand(call.expected.error.message, str) == deed[3]


quick = st.lists(deeds.filter(lambda deed: deed[1] != "stall"), max_size=5)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(quick)
def test_whatever_is_done_passes_when_it_is_done_again(
    done: list[tuple[Any, ...]],
) -> None:
    """When the agent answers the same."""
    recorder = Recorder()
    for deed in done:
        if deed[0] == "called":
            deed = (*deed[:2], {"value": deed[3]}, deed[3])
        if deed[0] != "failed":
            record(recorder, deed)
    result = run_scenario(read(recorder), echo)
    assert result.outcome is Outcome.OK, told(result)


def test_what_no_agent_answers_is_left_out() -> None:
    """Nobody can expect it."""
    recorder = Recorder()
    recorder.called("echo", {}, error={"type": "CallUnanswered", "message": "..."})
    assert len(recorder) == 0


def test_nothing_was_done() -> None:
    """It can be run all the same."""
    assert run_scenario(read(Recorder()), echo).outcome is Outcome.OK


@pytest.mark.parametrize("value", [float("nan"), object(), "\ud800", b""])
def test_what_has_no_json_form(value: Any) -> None:
    """It is refused when it is noted, not when it is too late."""
    recorder = Recorder()
    with pytest.raises((ValueError, TypeError)):
        recorder.called("echo", {}, result=value)
    assert len(recorder) == 0


def test_what_is_noted_does_not_change() -> None:
    """Though its owner goes on with it."""
    recorder, value = Recorder(), {"a": 1}
    recorder.called("echo", value, result=value)
    value["a"] = 2
    [call] = read(recorder).steps
    assert isinstance(call, Call) and call.arguments == {"a": 1}
