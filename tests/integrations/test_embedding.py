"""An embedding lives in each process that starts it, and in no other."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conversimple import ConfigurationError
from conversimple.integrations import embedding as module
from conversimple.integrations import uwsgi
from conversimple.integrations.embedding import (
    Embedding,
    embeddings,
    start_all,
    stop_all,
)
from conversimple.local import LocalPlatform
from tests.conftest import finished, python
from tests.integrations.agents import Clerk
from tests.support.threads import eventually


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever other tests have left is not of this process."""
    monkeypatch.setattr(module, "_all", type(module._all)())


@pytest.fixture
def make(tmp_path: Path, platform: LocalPlatform) -> Iterator[Any]:
    """Makes embeddings, which end with the test."""
    made = []

    def make(**kwargs: Any) -> Embedding:
        options = {
            "api_key": "secret-key",
            "customer_id": "c1",
            "platform_url": platform.url,
            "journal": None,
        }
        options.update(kwargs.pop("options", {}))
        made.append(Embedding([Clerk], options, claims=f"file:{tmp_path}", **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.stop(0.0)


def test_it_runs_the_agent(platform: LocalPlatform, make: Any) -> None:
    """From its start to its stop, however often these are asked for."""
    embedding = make()
    assert not embedding.started and not embedding.ready
    for _ in range(2):
        embedding.start()
    assert platform.start_conversation().call("double", number=2) == 4
    assert embedding.started and embedding.leading and embedding.ready
    for _ in range(2):
        embedding.stop()
    assert not embedding.started and not embedding.leading
    assert platform.agents == 0
    embedding.start()
    eventually(lambda: embedding.ready)


def test_it_reports(make: Any) -> None:
    """As JSON, without the key."""
    first, second = make(), make()
    assert first.report() == {
        "ready": False,
        "leading": False,
        "standby": False,
        "health": None,
    }
    first.start()
    eventually(lambda: first.ready)
    second.start()
    eventually(lambda: second.ready)
    assert second.standing_by and second.health() is None
    assert second.report()["standby"]
    text = json.dumps(first.report())
    assert json.loads(text)["health"]["state"] == "connected"
    assert "secret-key" not in text


def test_wrong_settings_are_refused(make: Any) -> None:
    """Nothing is started."""
    embedding = make(workers="some", options={"api_key": None})
    assert len(embedding.check()) == 2
    assert len(embedding.check(key=False)) == 1
    with pytest.raises(ConfigurationError, match="workers.*API_KEY"):
        embedding.start()
    assert not embedding.started


def test_the_hooks_see_all_of_them(platform: LocalPlatform, make: Any) -> None:
    """For servers, which start and stop a process."""
    made = {make(options={"customer_id": name}) for name in ("c1", "c2")}
    assert set(embeddings()) == made
    start_all()
    eventually(lambda: platform.agents == 2)
    stop_all(5.0)
    assert platform.agents == 0


def test_a_mistake_is_said(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It keeps nobody else from starting."""
    wrong, right = make(options={"api_key": None}), make()
    start_all()
    assert "CONVERSIMPLE_API_KEY" in caplog.text
    assert right.started and not wrong.started
    # The first request has nothing to add.
    assert right.begun and wrong.begun


def test_it_begins_by_itself_in_a_worker(
    platform: LocalPlatform, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of uWSGI, which loads applications late, and tells nobody."""
    monkeypatch.setattr(module, "APPLICATION_IS_MADE", 0.0)
    monkeypatch.setattr(uwsgi, "is_worker", lambda: True)
    make()
    platform.wait_for_agent(5.0)


def test_what_runs_is_kept(platform: LocalPlatform, make: Any) -> None:
    """Though nobody else knows it any more, it can be stopped."""
    Embedding(
        [Clerk], {"api_key": "key", "platform_url": platform.url}, claims="file:/tmp/x"
    )
    make().start()
    gc.collect()
    assert len(embeddings()) == 1


FORKED = """
import os, sys
from conversimple.integrations.embedding import Embedding, embeddings
from tests.integrations.agents import Clerk
from tests.support.threads import eventually

url, folder = sys.argv[1:]
embedding = Embedding(
    [Clerk], {"api_key": "key", "platform_url": url}, claims=f"file:{folder}"
)
embedding.start()
eventually(lambda: embedding.ready)
child = os.fork()
if not child:
    state = embedding.started, embedding.leading, embedding.health()
    embedding.stop()
    embedding.start()
    eventually(lambda: embedding.standing_by)
    embedding.stop()
    print(state, flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(embedding.leading, embedding.ready, flush=True)
"""


def test_a_forked_process_starts_anew(platform: LocalPlatform, tmp_path: Path) -> None:
    """It is not its parent: what runs there goes on, and here nothing runs."""
    with python(FORKED, platform.url, str(tmp_path), PYTHONWARNINGS="") as process:
        out, err = finished(process)
    assert out.splitlines() == ["(False, False, None)", "True True"], err
    platform.wait_until(lambda: platform.agents == 0)
    assert platform.handshakes == 1


@pytest.mark.slow
def test_it_leaves_at_the_end_of_the_program(
    platform: LocalPlatform, tmp_path: Path
) -> None:
    """Also where no hook stops it; and the next one need not wait."""
    code = FORKED.partition("child =")[0]
    for count in (1, 2):
        with python(code, platform.url, str(tmp_path)) as process:
            out, err = finished(process)
        assert process.returncode == 0 and not err
        platform.wait_until(lambda: platform.agents == 0)
        assert platform.handshakes == count
    assert os.listdir(tmp_path)
