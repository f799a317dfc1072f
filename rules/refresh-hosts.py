#!/usr/bin/env python3
"""Makes the host lists of the pack mcp.hosts from two CSV files.

    rules/refresh-hosts.py known-mcp-endpoints.csv known-mcp-host-patterns.csv

Writes hosts/known-mcp-endpoints.tsv and hosts/known-mcp-host-patterns.tsv beside this script, sorted, so that the
difference shows what changed. Rows of the second file that are no servers (paths on any host, catalogues, install
links) are signatures in mcp-core.toml and mcp-hosts.toml; the script says which of them no signature names yet.

Endpoints: host, path, transport, vendor, category, auth, source, dedicated (yes|no).
Patterns: pattern, kind (host|uri|host+uri), transport, vendor, category, confidence, note, source.
Needs Python 3.11, nothing else.
"""

import csv
import sys
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

HERE = Path(__file__).resolve().parent
CATEGORIES = {"tunnel": "tunnel", "hosting": "hosting", "gateway": "login", "marketplace": "catalog"}
CONFIDENCES = {"high", "medium", "low", "info"}


def clean(text):
    """One line, one column."""
    return " ".join(text.split())


def transport(text):
    """`http`, `sse` or `any`; several transports are `any`."""
    return {"streamable-http": "http", "sse": "sse"}.get(text, "any")


class Sources:
    """Numbers the distinct texts, the most frequent first."""

    def __init__(self, rows):
        count = {}
        for row in rows:
            text = clean(row["source"])
            count[text] = count.get(text, 0) + 1
        self.texts = sorted(count, key=lambda text: (-count[text], text))
        self.numbers = {text: number for number, text in enumerate(self.texts)}

    def lines(self):
        return [f"#source\t{number}\t{text}" for number, text in enumerate(self.texts)]

    def of(self, row):
        return str(self.numbers[clean(row["source"])])


def endpoints(rows):
    sources = Sources(rows)
    lines = []
    for row in rows:
        host = clean(row["host"]).lower()
        vendor = clean(row["vendor"])
        assert row["dedicated"] in ("yes", "no"), row
        lines.append("\t".join([host, clean(row["path"]), transport(row["transport"]), row["dedicated"],
                                "" if vendor == host else vendor, sources.of(row)]))
    head = ["#mcp-endpoints\t1", "# host, path, transport, dedicated, vendor, source; made by refresh-hosts.py"]
    return head + sources.lines() + sorted(set(lines))


def patterns(rows):
    rows = [row for row in rows if is_server(row)]
    sources = Sources(rows)
    lines = []
    for row in rows:
        assert row["confidence"] in CONFIDENCES, row
        lines.append("\t".join([clean(row["pattern"]).lower(), transport(row["transport"]), row["confidence"],
                                CATEGORIES.get(row["category"], "server"), clean(row["vendor"]), sources.of(row),
                                clean(row["note"])]))
    head = ["#mcp-host-patterns\t1",
            "# pattern, transport, confidence, category, vendor, source, note; made by refresh-hosts.py"]
    return head + sources.lines() + sorted(set(lines))


def is_server(row):
    return row["kind"] in ("host", "host+uri") and row["transport"] not in ("catalog", "install-link")


def named_by_signatures():
    """Every host and path pattern that stands in a signature."""
    names = set()
    for file in sorted(HERE.glob("*.toml")):
        for signature in tomllib.loads(file.read_text("utf-8")).get("signature", []):
            for key in ("host", "glob"):
                names.update(text.lower() for text in signature.get(key, []))
    return names


def main(arguments):
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    tables = []
    for name in arguments:
        with open(name, newline="", encoding="utf-8") as file:
            tables.append(list(csv.DictReader(file)))
    for name, lines in [("known-mcp-endpoints.tsv", endpoints(tables[0])),
                        ("known-mcp-host-patterns.tsv", patterns(tables[1]))]:
        (HERE / "hosts" / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{name}: {len([line for line in lines if not line.startswith('#')])} rows")
    names = named_by_signatures()
    for row in tables[1]:
        # Queries are left to the parser, and a catalogue may share its host with much else.
        pattern = row["pattern"].lower().rstrip("/")
        named = any(fnmatchcase(pattern, name) or name.startswith(pattern + "/") for name in names)
        if not is_server(row) and not named and "?" not in pattern:
            print(f"no signature names {pattern} ({row['kind']}, {row['category']})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
