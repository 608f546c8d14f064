"""Runs every case of cases.toml with both classes and writes what was seen into docs/comparison.md."""

import argparse
import importlib.metadata
import json
import pathlib
import re
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

from case_machine import World

try:
    import tomllib
except ImportError:  # before Python 3.11
    import tomli as tomllib

HERE = pathlib.Path(__file__).parent
PAGE = HERE.parents[1] / "docs/comparison.md"
BEGIN, END = "<!-- cargo xtask comparison: begin -->", "<!-- cargo xtask comparison: end -->"
SIDES = ("official", "ours")

# Far more than a step takes that does not hang.
PATIENCE = 60
# No more words of a message than say what happened.
LONGEST_MESSAGE = 110


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", help="the cases with this in their name, and write no page")
    arguments = parser.parse_args()
    cases = tomllib.loads((HERE / "cases.toml").read_text())["cases"]
    chosen = [case for case in cases if not arguments.only or arguments.only in case["name"]]
    cells = {}
    # What is timed has the machine for itself.
    for timed, workers in (False, 2), (True, 1):
        with ThreadPoolExecutor(workers) as pool:
            work = [
                (case, side, pool.submit(seen, case, side))
                for case in chosen if case.get("timed", False) == timed for side in SIDES
            ]
            for case, side, cell in work:
                cells[case["name"], side] = cell.result()
                print(f"{case['name']}\n  {side}: {cells[case['name'], side]}", flush=True)
    if not arguments.only:
        write([(case, *(cells[case["name"], side] for side in SIDES)) for case in chosen])


def seen(case, side):
    """One cell of the table."""
    world = World(case.get("world", []))
    try:
        if "earlier" in case:
            told(world.observe(side, case["earlier"], PATIENCE), case)
        before = world.visits()
        observed = world.observe(side, case["code"], case.get("limit", PATIENCE))
        observed.visits -= before
        return told(observed, case)
    finally:
        world.close()


def told(observed, case):
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
        limit = f"still waiting after {case.get('limit', PATIENCE)} s"
        words.append(", ".join([*visits, limit]) if waiting else "the program does not end")
    elif observed.status < 0:
        words.append(f"ended by {signal.Signals(-observed.status).name}")
    elif observed.status > 0:
        # An error in the case itself is none of the class under test.
        raise AssertionError(f"{case['name']}: {observed.complaint}")
    return "; ".join(words)


def outcome(line, timed):
    words = [brief(line["step"]), *times_asked(line["asked"])]
    if not line["asked"] and re.match(r"(\d+ × )?(the same )?(token|signed request|record) of", line["step"]):
        words.append("nobody asked")
    if timed:
        words.append(f"after {line['seconds']:.1f} s")
    return ", ".join(words)


def times_asked(times):
    return [] if times == 0 else ["person asked"] if times == 1 else [f"person asked {times} times"]


def brief(text):
    """The beginning of a message, without what differs from run to run."""
    text = re.sub(r" \(correlation id [^)]*\)", "", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "…", " ".join(text.split()))
    text = re.sub(r"/\S*keybearer-interop-\S*|http://(localhost|127\.0\.0\.1):\d+\S*", "…", text)
    text = re.sub(r"0x[0-9a-f]{6,}|\d{4}-\d\d-\d\d[T ]\S+", "…", text)
    if len(text) > LONGEST_MESSAGE:
        text = text[:LONGEST_MESSAGE].rsplit(" ", 1)[0].rstrip(",;:.") + " …"
    return text


def write(rows):
    lines, group = [], None
    for case, official, ours in rows:
        if case["group"] != group:
            group = case["group"]
            lines += ["", f"### {group}", "", f"| case | {version_of_official()} | ours |", "|---|---|---|"]
        lines.append(f"| {case['name']} | {cell(official)} | {cell(ours)} |")
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
