"""Pickling of exceptions, as when a worker process raises them, and copies of them."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Callable

import keybearer
import pytest
from broker_double import Answer, BrokerDouble, error
from keybearer import _exceptions

if TYPE_CHECKING:
    from pathlib import Path

Serve = Callable[[Answer], BrokerDouble]

SCOPE = "https://storage.azure.com/.default"
DETAILS = {"code": "AADSTS50079", "hint": "do this", "trace_id": "t-1"}
CLAIMS = '{"id_token":{}}'
IMPORT = "import azure.identity"

PROGRAM = f"""
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import keybearer

def ask():
    {{in_worker}}
    credential = keybearer.InteractiveBrowserBrokerCredential(
        timeout=20, broker="required", disable_automatic_authentication=True)
    try:
        raise LookupError("an exception that the program is handling")
    except LookupError:
        credential.get_token({SCOPE!r})

if __name__ == "__main__":
    {{in_parent}}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as workers:
        error = workers.submit(ask).exception()
    print(type(error).__module__, type(error).__name__)
    print(error.kind, error.code, error.trace_id, error.retry_after, bool(error.correlation_id))
    print(str(error) == error.message, "AADSTS50079" in error.message, error.hint)
    print(getattr(error, "scopes", None), getattr(error, "claims", None))
    identity = sys.modules.get("azure.identity")
    print(identity and isinstance(error, getattr(identity, type(error).__name__)))
"""


@pytest.mark.parametrize("in_worker", ["pass", IMPORT], ids=["worker without", "worker with"])
@pytest.mark.parametrize("in_parent", ["pass", IMPORT], ids=["parent without", "parent with"])
@pytest.mark.parametrize("word", ["interaction_required", "unavailable.network"])
def test_an_exception_leaves_a_worker_process_as_it_was(
    serve: Serve, tmp_path: Path, in_worker: str, in_parent: str, word: str
) -> None:
    """It is also azure-identity's class if the process that receives it has that loaded."""
    serve(lambda _, __: error(word, **DETAILS, claims=CLAIMS))
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(in_worker=in_worker, in_parent=in_parent))
    command = [sys.executable, str(program)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    kind, name, what_was_asked_for = {
        "interaction_required": (word, "AuthenticationRequiredError", f"('{SCOPE}',) {CLAIMS}"),
        "unavailable.network": ("unavailable", "CredentialUnavailableError", "None None"),
    }[word]
    assert ran.stdout.splitlines() == [
        f"keybearer._exceptions {name}",
        f"{kind} AADSTS50079 t-1 None True",
        "True True do this",
        what_was_asked_for,
        str(in_parent == IMPORT or None),
    ]


class Theirs(keybearer.AuthenticationError):
    """A class that a program derives."""


@pytest.mark.parametrize("kind", _exceptions.CLASSES)
@pytest.mark.parametrize("copied", [copy.copy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_says_the_same(kind: str, copied: Callable[[Any], Any]) -> None:
    details = {**DETAILS, "retry_after": 1.5, "correlation_id": "c-1"}
    original = _exceptions.for_kind(
        kind, "no", details=details, scopes=(SCOPE,), claims="{}", silent_only=True
    )
    same = copied(original)
    assert type(same) is type(original)
    assert (same.args, same.kind, same.message) == (("no",), kind, "no")
    assert {name: getattr(same, name) for name in details} == details
    if kind == "interaction_required":
        assert (same.scopes, same.claims) == ((SCOPE,), "{}")


def test_a_programs_own_class_stays_what_it_is() -> None:
    same = pickle.loads(pickle.dumps(Theirs("no")))
    assert type(same) is Theirs
    assert same.message == "no"
