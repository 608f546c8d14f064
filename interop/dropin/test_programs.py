"""The three programs of Microsoft's how-to, unchanged, with Keybearer's distribution instead of Microsoft's.

The broker is the one that pip installed with it: no other is on PATH.
"""

import pathlib

import pytest

HERE = pathlib.Path(__file__).parent
PROGRAMS = ["windows", "macos", "linux"]
# Without the directory of the project's own programs.
PATH = "/usr/bin:/bin"


def run(machine, environment, name):
    """Run the program with the name of the emulator's storage account instead of the placeholder."""
    program = (HERE / "programs" / f"{name}.py").read_text()
    filled = program.replace("<storage-account-name>", "devstoreaccount1")
    assert filled.count("devstoreaccount1") == 1
    machine.at(f"{name}.py").write_text(filled)
    command = [environment.python, machine.at(f"{name}.py")]
    return machine.run(command, PATH=PATH, PYTHONPATH=str(HERE / "stubs"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_of_the_how_to_lists_the_containers_after_one_sign_in(machine, environment, name):
    output = run(machine, environment, name)
    assert (output.status, output.stdout, output.stderr) == (0, "alpha\nbeta\n", ""), output
    assert machine.visits() == 1
    # The broker signed in, so the next program finds the account.
    status = machine.status()
    assert status["accounts"] == 1
    broker = pathlib.Path(f"/proc/{status['pid']}/exe").resolve()
    assert broker == environment.python.with_name("keybearer")


def test_three_programs_need_one_sign_in(machine, without_identity):
    for name in PROGRAMS:
        output = run(machine, without_identity, name)
        assert (output.status, output.stdout) == (0, "alpha\nbeta\n"), output
    assert machine.visits() == 1
    assert len(machine.grants("authorization_code")) == 1


ONE_TOKEN = """
import keybearer
with keybearer.InteractiveBrowserBrokerCredential(timeout=30) as credential:
    print(credential.acquire("https://storage.azure.com/.default").username)
"""


def test_program_is_found_beside_packages_that_were_installed_into_a_directory(machine, new_environment):
    """`pip install --target`, as for functions and images. A program in a directory above is not started."""
    directory = machine.at("job/of/packages")
    machine.at("bin").mkdir()
    machine.at("bin/keybearer").write_text("#!/bin/sh\nexit 1\n")
    machine.at("bin/keybearer").chmod(0o755)
    new_environment.install("--target", directory, "keybearer")
    for _ in range(2):
        output = machine.run([new_environment.python, "-c", ONE_TOKEN], PATH=PATH, PYTHONPATH=str(directory))
        assert (output.status, output.stdout) == (0, "dev@contoso.example\n"), output
    assert machine.visits() == 1
    broker = pathlib.Path(f"/proc/{machine.status()['pid']}/exe").resolve()
    assert broker == directory / "bin" / "keybearer"
