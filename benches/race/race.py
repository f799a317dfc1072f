#!/usr/bin/env python3
"""The sensor beside tcpdump and Suricata on the same captures, in turn: A B C, A B C, ... In the profile keys all is in
TLS, and the other is tshark with the same keys: no other here decrypts.

    benches/race/race.py [--profiles http,mixed,dns,keys] [--size 400M] [--open 250] [--rounds 3] [--only NAME,...]

Captures are made by the project itself (`cargo run -p benches --bin traffic`), with the truth about each flow; they
stay in --data for the next time. Speed is compared by CPU seconds, which hold still while others use the machine.
Medians; standard library only. Debian's packages: tcpdump, suricata, tshark, time.
"""
import argparse
import ipaddress
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
BASES = ["suricata, 1 thread", "tshark"]

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--profiles", default="http,mixed", help="http, mixed, dns, keys")
parser.add_argument("--size", default="400M", help="bytes of each capture, at least")
parser.add_argument("--open", default="250", help="flows at once")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--only", default="", help="contestants, by the beginnings of their names")
parser.add_argument("--sensor", default=os.path.join(TARGET, "release", "mcp-sensor"))
parser.add_argument("--data", default=os.path.join(TARGET, "race"), help="where captures are kept")


def contestants(sensor, profile):
    """Name, command, how its hits are read. {capture}, {keylog} and {out} are filled in."""
    as_root = ["-Z", "root"] if os.geteuid() == 0 else []
    suricata = ["suricata", "-c", f"{HERE}/suricata.yaml", "-S", f"{HERE}/mcp.rules", "-r", "{capture}", "-l", "{out}"]
    ours = [sensor, "replay", "--quiet", "-o", "{out}/events.jsonl", "{capture}", "--threads"]
    if profile == "keys":
        ours[2:2] = ["--keylog", "{keylog}"]
        tshark = ["tshark", "-n", "-r", "{capture}", "-o", "tls.keylog_file:{keylog}", "-Y", "http", "-q", "-z"]
        return [
            (BASES[1], [*tshark, "io,stat,0"], None),
            ("mcp-sensor, 1 thread", [*ours, "1"], ("events.jsonl", detection)),
            ("mcp-sensor, 2 threads", [*ours, "2"], ("events.jsonl", detection)),
        ]
    return [
        ("tcpdump", ["tcpdump", *as_root, "-r", "{capture}", "-w", "/dev/null"], None),
        (BASES[0], [*suricata, "--runmode", "single"], ("eve.json", alert)),
        ("mcp-sensor, 1 thread", [*ours, "1"], ("events.jsonl", detection)),
        ("mcp-sensor, 2 threads", [*ours, "2"], ("events.jsonl", detection)),
    ]


def flow(ends):
    """The same for both directions: ends are pairs of address and port."""
    return frozenset((ipaddress.ip_address(ip), int(port)) for ip, port in ends)


def alert(event):
    if event.get("event_type") == "alert":
        return flow([(event["src_ip"], event["src_port"]), (event["dest_ip"], event["dest_port"])])
    return None


def detection(event):
    if event.get("type") == "detection" and event["confidence"] in ("confirmed", "likely"):
        return flow([(end["ip"], end["port"]) for end in (event["flow"]["client"], event["flow"]["server"])])
    return None


def lines(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        yield from map(json.loads, file)


def split(end):
    ip, port = end.rsplit(":", 1)
    return ip.strip("[]"), port


def truth(path):
    """The flows that are MCP."""
    return {flow([split(f["client"]), split(f["server"])]) for f in lines(path) if f["mcp"]}


def capture(options, profile):
    """Makes the capture unless it is there."""
    os.makedirs(options.data, exist_ok=True)
    base = os.path.join(options.data, f"{profile}-{options.size}-{options.open}")
    if not os.path.exists(base + ".truth.jsonl"):
        make = ["cargo", "run", "--release", "--quiet", "-p", "benches", "--bin", "traffic", "--"]
        subprocess.run([*make, profile, options.size, base + ".new", options.open], cwd=ROOT, check=True)
        for end in (".pcap", ".keylog", ".truth.jsonl") if profile == "keys" else (".pcap", ".truth.jsonl"):
            os.replace(base + ".new" + end, base + end)
    with open(base + ".pcap", "rb") as file:  # All find it in memory.
        while file.read(1 << 24):
            pass
    return base + ".pcap", truth(base + ".truth.jsonl")


def run(command, out):
    """Wall seconds, CPU seconds, peak MiB."""
    timer = shutil.which("time") or "/usr/bin/time"
    begin = time.monotonic()
    with open(out + "/stderr", "wb") as errors:
        # A small parent: a child that Python starts itself is charged with Python's own memory.
        timed = [timer, "-f", "%U %S %M", "-o", out + "/time", *command]
        code = subprocess.run(timed, stdout=subprocess.DEVNULL, stderr=errors, check=False).returncode
    wall = time.monotonic() - begin
    if code != 0:
        with open(out + "/stderr", encoding="utf-8", errors="replace") as errors:
            sys.exit(f"{command[0]}: exit status {code}: {errors.read()[-500:]}")
    with open(out + "/time", encoding="utf-8") as file:
        user, system, peak = file.read().split()[-3:]
    return wall, float(user) + float(system), int(peak) / 1024


def race(options, profile, fields):
    path, mcp = capture(options, profile)
    results, found = {name: [] for name, _, _ in fields}, {}
    for _ in range(options.rounds):
        for name, command, hits in fields:
            with tempfile.TemporaryDirectory() as out:
                keylog = path.removesuffix(".pcap") + ".keylog"
                filled = [part.format(capture=path, keylog=keylog, out=out) for part in command]
                results[name].append(run(filled, out))
                if hits and name not in found:
                    file, read = hits
                    found[name] = {hit for hit in map(read, lines(os.path.join(out, file))) if hit}
    medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in results.items()}
    size = os.path.getsize(path)
    base = next((name for name in BASES if name in medians), None)
    print(f"\n`{profile}`: {size / 1e6:.0f} MB, {len(mcp)} flows of MCP; {options.rounds} rounds, medians, on "
          f"{os.cpu_count()} processors; load {os.getloadavg()[0]:.1f}\n")
    print("| contestant | CPU speed | CPU, s (least, most) | wall, s | peak, MiB | Gbit/s a CPU | recall | precision |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, (wall, cpu, peak) in medians.items():
        spread = [row[1] for row in results[name]]
        ratio = f"{medians[base][1] / cpu:.1f}" if base else ""
        right = len(found[name] & mcp) if name in found else 0
        shares = [f"{right / max(1, n):.3f}" for n in (len(mcp), len(found[name]))] if name in found else ["", ""]
        print(f"| {name} | {ratio} | {cpu:.2f} ({min(spread):.2f}, {max(spread):.2f}) | {wall:.2f} | {peak:.0f} | "
              f"{size * 8e-9 / cpu:.2f} | {shares[0]} | {shares[1]} |")


def main():
    options = parser.parse_args()
    if not shutil.which("time") and not os.path.exists("/usr/bin/time"):
        sys.exit("the Debian package time is not installed")
    for profile in options.profiles.split(","):
        race(options, profile, chosen(options, profile))


def chosen(options, profile):
    """The contestants that are wanted and there."""
    wanted = options.only.split(",")
    fields = []
    for name, command, hits in contestants(options.sensor, profile):
        if not any(name.startswith(start) for start in wanted):
            continue
        if shutil.which(command[0]):
            fields.append((name, command, hits))
        elif command[0] == options.sensor:
            sys.exit(f"{options.sensor} is missing: cargo build --release --locked")
        else:
            print(f"{name} is left out: the Debian package {command[0]} is not installed", file=sys.stderr)
    return fields


if __name__ == "__main__":
    main()
