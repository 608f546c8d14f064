"""The contents of `peers.toml`: which files to take, and which of their tests are skipped and why."""

import pathlib
import re
import tarfile
from collections import Counter

try:
    import tomllib
except ImportError:
    import tomli as tomllib

# A test file that contains one of these concerns a class that Keybearer provides.
NAMES = re.compile(r"InteractiveBrowser|InteractiveCredential|identity\.broker")


class Plan:
    def __init__(self, path):
        data = tomllib.loads(path.read_text())
        self.archives = data["archive"]
        self.reasons = {}
        """Why a test is skipped, by test."""
        self.elsewhere = set()
        """Tests that do not concern Keybearer's credential."""
        self.of_the_class = set(data["of_the_class"]["tests"])
        for kind in ("skipped", "elsewhere"):
            for entry in data[kind]:
                for test in entry["tests"]:
                    assert test not in self.reasons, f"{test} is listed twice"
                    self.reasons[test] = entry["reason"]
                    if kind == "elsewhere":
                        self.elsewhere.add(test)
        self.counts = Counter()

    def unpack(self, sdists, into):
        """Extract the files from the archives; return the paths of those with tests."""
        taken = []
        for archive in self.archives:
            [path] = sdists.glob(f"{archive['name'].replace('-', '_')}-[0-9]*.tar.gz")
            with tarfile.open(path) as members:
                found = {
                    pathlib.PurePath(member.name).name: members.extractfile(member).read()
                    for member in members
                    if member.isfile() and re.fullmatch(r"[^/]+/tests/[^/]+\.py", member.name)
                }
            concerned = {
                name for name, text in found.items() if name.startswith("test_") and NAMES.search(text.decode())
            }
            assert concerned == set(archive["files"]), f"files to take from {path.name}: {sorted(concerned)}"
            for name in [*archive["files"], *archive.get("helpers", [])]:
                (into / name).write_bytes(found[name])
            taken += [str(into / name) for name in archive["files"]]
        return taken

    def entry(self, test):
        """The name under which the test is listed: its own, or that of its function. None if it is not listed."""
        for listed in (test, test.split("[")[0]):
            if listed in self.reasons:
                return listed
        return None

    def count(self, test):
        """Count the test; return "ran", "skipped" or "elsewhere"."""
        entry = self.entry(test)
        kind = "ran" if entry is None else "elsewhere" if entry in self.elsewhere else "skipped"
        self.counts[test.split("::")[0], kind] += 1
        self.counts[self.reasons.get(entry)] += 1
        return kind

    def tables(self):
        """The counts as two Markdown tables: by file, and by the reason for skipping."""
        kinds = ("ran", "skipped", "elsewhere")
        names = [name for archive in self.archives for name in archive["files"]]
        files = [(f"`{name}`", *(self.counts[name, kind] for kind in kinds)) for name in names]
        files.append(("all", *(sum(row[column] for row in files) for column in (1, 2, 3))))
        skipped = {self.reasons[test]: None for test in self.reasons if test not in self.elsewhere}
        reasons = [(self.counts[reason], reason) for reason in skipped]
        return [
            table(("file", *kinds[:2], "about something else"), files),
            table(("skipped", "because"), sorted(reasons, reverse=True)),
        ]


def table(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
