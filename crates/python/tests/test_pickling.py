"""Credentials and records that are pickled, copied, patched or collected."""

from __future__ import annotations

import copy
import gc
import pickle
import subprocess
import sys
import threading
import weakref
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Callable
from unittest import mock

import keybearer
import keybearer.aio
import pytest
from broker_double import HOME_ACCOUNT_ID, USERNAME, Answer, BrokerDouble, Reply, token
from test_surface import CREDENTIALS, run

if TYPE_CHECKING:
    from pathlib import Path

Serve = Callable[[Answer], BrokerDouble]

SCOPE = "https://storage.azure.com/.default"
CLIENT_ID = "6d8f2c1e-0000-4000-8000-000000000001"
COPIES = [
    copy.copy,
    copy.deepcopy,
    lambda original: pickle.loads(pickle.dumps(original)),
]
COPY_NAMES = ["copy", "deepcopy", "pickle"]


class Named(keybearer.InteractiveBrowserBrokerCredential):
    """A credential that a program derives."""

    def __init__(self, name: str) -> None:
        """Take other arguments than the base class."""
        super().__init__(login_hint=name, client_id=CLIENT_ID)
        self.names = [name]


class NamedForTasks(keybearer.aio.InteractiveBrowserBrokerCredential):
    """The same for asyncio."""

    def __init__(self, name: str) -> None:
        """Take other arguments than the base class."""
        super().__init__(login_hint=name, client_id=CLIENT_ID)
        self.names = [name]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("credential", CREDENTIALS)
def test_a_pickle_holds_the_keywords_and_no_token_inv_i5(
    serve: Serve, credential: type, protocol: int
) -> None:
    asked: list[str] = []

    def answer(_: str, request: Reply) -> Reply:
        asked.append(str(request))
        return token("the-secret-token")

    serve(answer)
    used = credential(client_id=CLIENT_ID, parent_window_handle=keybearer.CONSOLE_WINDOW_HANDLE)
    run(used.get_token, SCOPE)
    pickled = pickle.dumps(used, protocol)
    for secret in (b"the-secret-token", HOME_ACCOUNT_ID.encode(), USERNAME.encode()):
        assert secret not in pickled
    restored = pickle.loads(pickled)
    assert type(restored) is credential
    assert run(restored.get_token, SCOPE).token == "the-secret-token"
    assert len(asked) == 2
    assert all(CLIENT_ID in request for request in asked)


@pytest.mark.parametrize("copied", COPIES, ids=COPY_NAMES)
@pytest.mark.parametrize("derived", [Named, NamedForTasks])
def test_a_derived_credential_keeps_its_keywords_and_attributes(
    serve: Serve, derived: type, copied: Callable[[Any], Any]
) -> None:
    asked: list[str] = []

    def answer(_: str, request: Reply) -> Reply:
        asked.append(str(request))
        return token()

    serve(answer)
    restored = copied(derived(USERNAME))
    assert type(restored) is derived
    assert vars(restored)["names"] == [USERNAME]
    run(restored.get_token, SCOPE)
    assert CLIENT_ID in asked[0]


def test_a_credential_that_was_not_initialized_says_so() -> None:
    class Forgetful(keybearer.InteractiveBrowserBrokerCredential):
        def __init__(self) -> None:
            pass

    with pytest.raises(RuntimeError, match="__init__"):
        pickle.dumps(Forgetful())


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_a_keyword_that_cannot_be_pickled_is_named_by_pickle(credential: type) -> None:
    with pytest.raises(TypeError, match="lock"):
        pickle.dumps(credential(transport=threading.Lock()))


def test_a_token_is_not_pickled(serve: Serve) -> None:
    serve(lambda _, __: token())
    with pytest.raises(TypeError, match="Token"):
        pickle.dumps(keybearer.InteractiveBrowserBrokerCredential().acquire(SCOPE))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_worker_processes_are_given_credentials(serve: Serve, tmp_path: Path, method: str) -> None:
    """CPython 3.14 starts them by forkserver by default."""
    serve(lambda _, __: token())
    program = tmp_path / "program.py"
    program.write_text(f"""
import asyncio, multiprocessing, pickle
from concurrent.futures import ProcessPoolExecutor
import keybearer, keybearer.aio

def by_task(credential):
    return asyncio.run(credential.get_token({SCOPE!r}))

if __name__ == "__main__":
    used = keybearer.InteractiveBrowserBrokerCredential(timeout=20)
    used.get_token({SCOPE!r})
    context = multiprocessing.get_context({method!r})
    with ProcessPoolExecutor(1, mp_context=context) as workers:
        print(workers.submit(used.get_token, {SCOPE!r}).result().token)
        other = keybearer.aio.InteractiveBrowserBrokerCredential(timeout=20)
        print(workers.submit(by_task, other).result().token)
""")
    command = [sys.executable, str(program)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert printed.stdout.split() == ["the-token"] * 2


@pytest.mark.parametrize("copied", COPIES[:2], ids=COPY_NAMES[:2])
@pytest.mark.parametrize("derived", [Named, NamedForTasks])
def test_a_copy_shares_the_tokens_and_not_the_attributes(
    serve: Serve, derived: type, copied: Callable[[Any], Any]
) -> None:
    broker = serve(lambda _, __: token())
    original = derived(USERNAME)
    twin = copied(original)
    run(twin.get_token, SCOPE)
    run(original.get_token, SCOPE)
    assert broker.calls["acquireTokenSilently"] == 1
    twin.names = ["another"]
    assert original.names == [USERNAME]


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_a_method_is_patched_and_put_back(credential: type) -> None:
    patched = credential()
    with mock.patch.object(patched, "get_token", return_value="a double"):
        assert run(patched.get_token, SCOPE) == "a double"
    assert "get_token" not in vars(patched)


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_a_credential_is_weakly_referenced_and_collected_out_of_cycles(credential: type) -> None:
    holder = SimpleNamespace()
    keyword, attribute = credential(transport=holder), credential()
    holder.credential = keyword
    attribute.attribute = attribute
    seen = [weakref.ref(keyword), weakref.ref(attribute)]
    assert [reference() for reference in seen] == [keyword, attribute]
    del holder, keyword, attribute
    gc.collect()
    assert [reference() for reference in seen] == [None, None]


@pytest.mark.parametrize("copied", COPIES, ids=COPY_NAMES)
def test_a_record_is_a_value(copied: Callable[[Any], Any]) -> None:
    def record(username: str) -> keybearer.AuthenticationRecord:
        text = (
            '{"authority": "login.microsoftonline.com", "clientId": "%s", "homeAccountId": "%s", '
            '"tenantId": "%s", "username": "%s", "version": "1.0"}'
        )
        values = (CLIENT_ID, HOME_ACCOUNT_ID, CLIENT_ID, username)
        return keybearer.AuthenticationRecord.deserialize(text % values)

    one, other = record(USERNAME), record("ops@contoso.example")
    same = copied(one)
    assert (same, hash(same)) == (one, hash(one))
    assert len({one, same, other}) == 2
    assert weakref.ref(one)() is one
