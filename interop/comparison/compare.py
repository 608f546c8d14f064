"""Runs every case of cases.toml with both classes and writes the results into docs/comparison.md."""

import argparse
import importlib.metadata
import json
import pathlib
import re
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

from case_machine import CaseMachine

try:
    import tomllib
except ImportError:  # before Python 3.11
    import tomli as tomllib

HERE = pathlib.Path(__file__).parent
PAGE = HERE.parents[1] / "docs/comparison.md"
BEGIN, END = "<!-- cargo xtask comparison: begin -->", "<!-- cargo xtask comparison: end -->"
SIDES = ("official", "keybearer")

# Seconds. Far more than a step needs that does not hang.
TEST_LIMIT = 60
# Characters of a message that a cell of the table shows.
MAX_MESSAGE = 110


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", help="run only the cases with this in their name; do not write the page")
    arguments = parser.parse_args()
    cases = tomllib.loads((HERE / "cases.toml").read_text())["cases"]
    chosen = [case for case in cases if not arguments.only or arguments.only in case["name"]]
    cells = {}
    # Timed cases run alone.
    for timed, workers in (False, 2), (True, 1):
        with ThreadPoolExecutor(workers) as pool:
            work = [
                (case, side, pool.submit(result_of, case, side))
                for case in chosen if case.get("timed", False) == timed for side in SIDES
            ]
            for case, side, cell in work:
                cells[case["name"], side] = cell.result()
                print(f"{case['name']}\n  {side}: {cells[case['name'], side]}", flush=True)
    if not arguments.only:
        write([(case, *(cells[case["name"], side] for side in SIDES)) for case in chosen])


def result_of(case, side):
    """Run the case with the class of this side; return the text of its cell."""
    machine = CaseMachine(case.get("conditions", []))
    try:
        if "earlier" in case:
            described(machine.observe(side, case["earlier"], TEST_LIMIT), case)
        before = machine.visits()
        observed = machine.observe(side, case["code"], case.get("limit", TEST_LIMIT))
        observed.visits -= before
        return described(observed, case)
    finally:
        machine.close()


def described(observed, case):
    words, waiting, asked = [], False, 0
    for line in map(json.loads, observed.lines):
        waiting = "begin" in line
        if "step" in line:
            words.append(outcome(line, case.get("timed", False)))
            asked += line["asked"]
        elif "fact" in line:
            words.append(line["fact"])
    if observed.status is None:
        visits = times_asked(observed.visits - asked)
        limit = f"still waiting after {case.get('limit', TEST_LIMIT)} s"
        words.append(", ".join([*visits, limit]) if waiting else "the program does not end")
    elif observed.status < 0:
        words.append(f"ended by {signal.Signals(-observed.status).name}")
    elif observed.status > 0:
        # The code of the case is wrong, not the class under test.
        raise AssertionError(f"{case['name']}: {observed.errors}")
    return "; ".join(words)


def outcome(line, timed):
    words = [brief(line["step"]), *times_asked(line["asked"])]
    if not line["asked"] and re.match(r"(\d+ × )?(the same )?(token|signed request|record) of", line["step"]):
        words.append("no prompt")
    if timed:
        words.append(f"after {line['seconds']:.1f} s")
    return ", ".join(words)


def times_asked(times):
    return [] if times == 0 else ["prompt"] if times == 1 else [f"{times} prompts"]


def brief(text):
    """The start of a message, without the parts that differ from run to run."""
    text = re.sub(r" \(correlation id [^)]*\)", "", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "…", " ".join(text.split()))
    text = re.sub(r"/\S*keybearer-interop-\S*|http://(localhost|127\.0\.0\.1):\d+\S*", "…", text)
    text = re.sub(r"0x[0-9a-f]{6,}|\d{4}-\d\d-\d\d[T ]\S+", "…", text)
    if len(text) > MAX_MESSAGE:
        text = text[:MAX_MESSAGE].rsplit(" ", 1)[0].rstrip(",;:.") + " …"
    return text


def write(rows):
    lines, group = [], None
    for case, official, keybearer in rows:
        if case["group"] != group:
            group = case["group"]
            lines += ["", f"### {group}", "", f"| case | {version_of_official()} | keybearer |", "|---|---|---|"]
        lines.append(f"| {case['name']} | {cell(official)} | {cell(keybearer)} |")
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text("\n".join([before + BEGIN, *lines, "", END + after]))


def version_of_official():
    return f"official {importlib.metadata.version('azure-identity-broker')}"


def cell(text):
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.exit(main())
