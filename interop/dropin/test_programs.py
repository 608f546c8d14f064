"""The three programs of Microsoft's how-to, unchanged, with our distribution in the place of Microsoft's."""

import pathlib

import pytest

HERE = pathlib.Path(__file__).parent
PROGRAMS = ["windows", "macos", "linux"]


def run(desk, environment, name):
    """Only the placeholder for the storage account is filled in; the emulator's account has this name."""
    program = (HERE / "programs" / f"{name}.py").read_text()
    filled = program.replace("<storage-account-name>", "devstoreaccount1")
    assert filled.count("devstoreaccount1") == 1
    desk.at(f"{name}.py").write_text(filled)
    return desk.run([environment.python, desk.at(f"{name}.py")], PYTHONPATH=str(HERE / "stubs"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_of_the_how_to_lists_the_containers_after_one_sign_in(desk, environment, name):
    output = run(desk, environment, name)
    assert (output.status, output.stdout, output.stderr) == (0, "alpha\nbeta\n", ""), output
    assert desk.visits() == 1
    # The broker did it: who signed in is known to the next program.
    assert desk.status()["accounts"] == 1


def test_three_programs_need_one_sign_in(desk, without_identity):
    for name in PROGRAMS:
        output = run(desk, without_identity, name)
        assert (output.status, output.stdout) == (0, "alpha\nbeta\n"), output
    assert desk.visits() == 1
    assert len(desk.grants("authorization_code")) == 1
