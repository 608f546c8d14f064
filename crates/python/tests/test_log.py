"""Log lines: there for those who asked, with names only on request, and never with a secret."""

from __future__ import annotations

import subprocess
import sys
from typing import Callable

import pytest
from broker_double import USERNAME, Answer, BrokerDouble, error, token

Serve = Callable[[Answer], BrokerDouble]

SCOPE = "https://storage.azure.com/.default"
CALLS = {
    "blocking": "keybearer.InteractiveBrowserBrokerCredential({}).get_token({!r})",
    "record": "keybearer.InteractiveBrowserBrokerCredential({}).authenticate(scopes=[{!r}])",
    "asyncio": "asyncio.run(keybearer.aio.InteractiveBrowserBrokerCredential({}).get_token({!r}))",
}
LOG_AT_DEBUG = """
import logging
logging.basicConfig(level=logging.DEBUG, format="%(name)s %(levelname)s %(message)s")
"""


def log_of(call: str, before: str, *keywords: str) -> list[str]:
    """Run a program of its own, since logging is the process'; the answer is its standard error."""
    code = f"""
import asyncio, os, sys
import keybearer, keybearer.aio
{before}
try:
    {CALLS[call].format(", ".join(keywords), SCOPE)}
except keybearer.AuthenticationError:
    pass
"""
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30
    )
    return [line for line in run.stderr.splitlines() if not line.startswith("asyncio ")]


@pytest.mark.parametrize("call", CALLS)
def test_support_logging_names_the_account_and_no_log_has_the_token(
    serve: Serve, call: str
) -> None:
    serve(lambda _, __: token("the-token"))
    named = log_of(call, LOG_AT_DEBUG, "enable_support_logging=True")
    plain = log_of(call, LOG_AT_DEBUG)
    for lines in (named, plain):
        assert lines
        assert all(line.startswith("keybearer DEBUG ") for line in lines), lines
        assert not any("the-token" in line for line in lines), "invariant I5"
    assert any(USERNAME in line and "support: the token" in line for line in named), named
    assert not any(USERNAME in line for line in plain), plain


@pytest.mark.parametrize("call", CALLS)
def test_a_failure_is_logged_before_it_is_raised(serve: Serve, call: str) -> None:
    serve(lambda _, __: error("denied.server", code="AADSTS50105"))
    lines = log_of(call, LOG_AT_DEBUG, 'broker="required"')
    assert any("AADSTS50105" in line for line in lines), lines


@pytest.mark.parametrize(
    "before",
    ["", "import logging", "import logging; logging.basicConfig()"],
    ids=["nothing", "import", "warnings"],
)
def test_nothing_is_logged_where_nobody_asked(serve: Serve, before: str) -> None:
    serve(lambda _, __: token())
    assert log_of("blocking", before, "enable_support_logging=True") == []


def test_logging_is_not_imported_for_those_who_do_not_log(serve: Serve) -> None:
    serve(lambda _, __: token())
    code = f"""
import sys
import keybearer
credential = keybearer.InteractiveBrowserBrokerCredential(enable_support_logging=True)
credential.acquire({SCOPE!r})
print("logging" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.split() == ["False"]


def test_a_handler_that_fails_does_no_harm(serve: Serve) -> None:
    serve(lambda _, __: token())
    before = f"""{LOG_AT_DEBUG}
class Broken(logging.Handler):
    def handle(self, record):
        raise LookupError("the handler's own")
logging.getLogger("keybearer").addHandler(Broken())
"""
    lines = log_of("blocking", before)
    assert any("the handler's own" in line for line in lines)
