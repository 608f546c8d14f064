"""Environments that programs run in, and a desk for each test."""

import pathlib
import sys

import pytest

from environments import PROJECT, Environment

sys.path.append(str(pathlib.Path(__file__).parents[1] / "broker"))

from machine import Desk  # noqa: E402 - shared with the tests of the broker's clients


@pytest.fixture
def desk():
    """No broker runs: the credential starts it."""
    made = Desk()
    try:
        yield made
        assert not made.proxy.refused, "somebody asked for a host that is not Azure's"
    finally:
        made.close()


@pytest.fixture
def new_environment(tmp_path, identity):
    """What a test may change; azure-identity is there."""
    return Environment(tmp_path / "environment", copy_of=identity)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The distribution, built where nothing stands against it."""
    directory = tmp_path_factory.mktemp("wheel")
    built = Environment(tmp_path_factory.mktemp("builder")).pip("wheel", "--no-deps", "-w", directory, PROJECT)
    assert built.returncode == 0, built.stdout + built.stderr
    [wheel] = directory.iterdir()
    return wheel


@pytest.fixture(scope="session")
def identity(tmp_path_factory):
    environment = Environment(tmp_path_factory.mktemp("identity") / "environment")
    environment.install("azure-identity")
    return environment


@pytest.fixture(scope="session")
def without_identity(tmp_path_factory, wheel):
    """What the how-to installs: the package, msal, and the client of the service."""
    environment = Environment(tmp_path_factory.mktemp("without-identity"))
    environment.install(wheel, "azure-storage-blob", "msal")
    return environment


@pytest.fixture(scope="session")
def with_identity(tmp_path_factory, identity, wheel):
    """As most programs have it: beside azure-identity."""
    environment = Environment(tmp_path_factory.mktemp("with-identity") / "environment", copy_of=identity)
    environment.install("azure-storage-blob", wheel)
    return environment


@pytest.fixture(params=["without_identity", "with_identity"])
def environment(request):
    return request.getfixturevalue(request.param)
