"""The virtual environments in which programs run, and a machine for each test."""

import pathlib
import sys

import pytest

from environments import PROJECT, Environment

sys.path.append(str(pathlib.Path(__file__).parents[1] / "broker"))

from machine import Machine  # noqa: E402 - shared with the tests of the broker's clients


@pytest.fixture
def machine():
    """A machine on which no broker runs: the credential starts one."""
    made = Machine()
    try:
        yield made
        assert not made.proxy.refused, "a client asked for a host that is not Azure's"
    finally:
        made.close()


@pytest.fixture
def new_environment(tmp_path, identity):
    """An environment with azure-identity that the test may change."""
    return Environment(tmp_path / "environment", copy_of=identity)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The distribution, built in an environment without azure-identity-broker."""
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
    """An environment with what the how-to installs: the package, msal and the storage client."""
    environment = Environment(tmp_path_factory.mktemp("without-identity"))
    environment.install(wheel, "azure-storage-blob", "msal")
    return environment


@pytest.fixture(scope="session")
def with_identity(tmp_path_factory, identity, wheel):
    """An environment as most programs have it: with azure-identity."""
    environment = Environment(tmp_path_factory.mktemp("with-identity") / "environment", copy_of=identity)
    environment.install("azure-storage-blob", wheel)
    return environment


@pytest.fixture(params=["without_identity", "with_identity"])
def environment(request):
    return request.getfixturevalue(request.param)
