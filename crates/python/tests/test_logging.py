"""The credential's log lines in Python's `logging`."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Callable

import keybearer
import keybearer.aio
import pytest
from azure.core.exceptions import ClientAuthenticationError
from broker_double import HOME_ACCOUNT_ID, USERNAME, Answer, BrokerDouble, error, token

if TYPE_CHECKING:
    from collections.abc import Mapping

SCOPE = "https://storage.azure.com/.default"

Ask = Callable[["Mapping[str, Any]"], None]


def blocking(options: Mapping[str, Any]) -> None:
    """Get a token in this thread."""
    keybearer.InteractiveBrowserBrokerCredential(timeout=10, **options).get_token(SCOPE)


def asynchronously(options: Mapping[str, Any]) -> None:
    """Get a token in a task."""
    credential = keybearer.aio.InteractiveBrowserBrokerCredential(timeout=10, **options)
    asyncio.run(credential.get_token(SCOPE))


@pytest.fixture(params=[blocking, asynchronously], ids=["blocking", "asyncio"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Get a token in each of the two ways."""
    ask: Ask = request.param
    return ask


@pytest.mark.parametrize(
    ("options", "named"), [({}, False), ({"enable_support_logging": True}, True)]
)
def test_the_log_names_people_on_request_and_secrets_never(
    ask: Ask,
    options: dict[str, Any],
    named: bool,
    serve: Callable[[Answer], BrokerDouble],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Invariant I5."""
    serve(lambda _, __: token("the-secret-token"))
    with caplog.at_level(logging.DEBUG):
        ask(options)
    ours = [record for record in caplog.records if record.name == "keybearer"]
    assert any("requesting a token" in record.message for record in ours)
    assert {record.levelno for record in ours} <= {logging.DEBUG, logging.INFO}
    text = "\n".join(record.message for record in ours)
    assert "correlation_id=" in text
    assert (USERNAME in text) == named
    assert (HOME_ACCOUNT_ID in text) == named
    assert "the-secret-token" not in text


def test_a_failure_is_in_the_log_before_it_is_raised(
    ask: Ask, serve: Callable[[Answer], BrokerDouble], caplog: pytest.LogCaptureFixture
) -> None:
    serve(lambda _, __: error("timed_out"))
    with caplog.at_level(logging.DEBUG, logger="keybearer"):
        with pytest.raises(ClientAuthenticationError) as caught:
            ask({})
        assert 'kind="timed_out"' in caplog.text
    assert caught.value.correlation_id in caplog.text  # type: ignore[attr-defined]


def test_a_program_that_does_not_listen_is_told_nothing(
    ask: Ask, serve: Callable[[Answer], BrokerDouble], caplog: pytest.LogCaptureFixture
) -> None:
    serve(lambda _, __: token())
    with caplog.at_level(logging.WARNING):
        ask({"enable_support_logging": True})
    assert [record for record in caplog.records if record.name == "keybearer"] == []
    with caplog.at_level(logging.DEBUG):
        assert caplog.records == []
