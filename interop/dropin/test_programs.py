"""The three programs of Microsoft's how-to, unchanged, with our distribution in the place of Microsoft's.

The broker is the one that pip installed along: the path leads to no other.
"""

import pathlib

import pytest

HERE = pathlib.Path(__file__).parent
PROGRAMS = ["windows", "macos", "linux"]
# Without the programs of the test.
PATH = "/usr/bin:/bin"


def run(desk, environment, name):
    """Only the placeholder for the storage account is filled in; the emulator's account has this name."""
    program = (HERE / "programs" / f"{name}.py").read_text()
    filled = program.replace("<storage-account-name>", "devstoreaccount1")
    assert filled.count("devstoreaccount1") == 1
    desk.at(f"{name}.py").write_text(filled)
    command = [environment.python, desk.at(f"{name}.py")]
    return desk.run(command, PATH=PATH, PYTHONPATH=str(HERE / "stubs"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_of_the_how_to_lists_the_containers_after_one_sign_in(desk, environment, name):
    output = run(desk, environment, name)
    assert (output.status, output.stdout, output.stderr) == (0, "alpha\nbeta\n", ""), output
    assert desk.visits() == 1
    # The broker did it: who signed in is known to the next program.
    status = desk.status()
    assert status["accounts"] == 1
    broker = pathlib.Path(f"/proc/{status['pid']}/exe").resolve()
    assert broker == environment.python.with_name("keybearer")


def test_three_programs_need_one_sign_in(desk, without_identity):
    for name in PROGRAMS:
        output = run(desk, without_identity, name)
        assert (output.status, output.stdout) == (0, "alpha\nbeta\n"), output
    assert desk.visits() == 1
    assert len(desk.grants("authorization_code")) == 1


ONE_TOKEN = """
import keybearer
with keybearer.InteractiveBrowserBrokerCredential(timeout=30) as credential:
    print(credential.acquire("https://storage.azure.com/.default").username)
"""


def test_program_is_found_beside_packages_that_were_installed_into_a_directory(desk, new_environment):
    """As for functions and images: `pip install --target`. What is above is not ours to run."""
    directory = desk.at("job/of/packages")
    desk.at("bin").mkdir()
    desk.at("bin/keybearer").write_text("#!/bin/sh\nexit 1\n")
    desk.at("bin/keybearer").chmod(0o755)
    new_environment.install("--target", directory, "keybearer")
    for _ in range(2):
        output = desk.run([new_environment.python, "-c", ONE_TOKEN], PATH=PATH, PYTHONPATH=str(directory))
        assert (output.status, output.stdout) == (0, "dev@contoso.example\n"), output
    assert desk.visits() == 1
    broker = pathlib.Path(f"/proc/{desk.status()['pid']}/exe").resolve()
    assert broker == directory / "bin" / "keybearer"
