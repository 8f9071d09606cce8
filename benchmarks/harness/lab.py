# SPDX-License-Identifier: BSD-3-Clause
"""Rows from the lab VM: its cases leave figures.jsonl, one figure of Quoll's and its peers' a line."""
import json
import os
import re
import subprocess
import tempfile

from . import machine, measure, parse
from .rows import Row

# Under icount a nanosecond of the guest is an instruction; without it the rates under emulation are no evidence, but the
# order of the ratio is there.
COUNTED = ["--icount", "--timeout", "3000", "--", "tests/vm/cases/run", "icount", "icount-fwd"]
TIMED = ["--timeout", "1500", "--", "tests/vm/cases/run", "perf"]

# (suite and name, unit, peer) as regular expressions: at most this factor of the peer's. The first that fits.
AIMS = [
    ("^icount-fwd ", "instructions", "DPDK", 0.7),
    ("^icount-fwd ", "instructions", "bridge", 0.1),
    ("^icount-fwd ", "MMIO", "DPDK", 1.0),
    ("^icount .*QD 1$", "instructions", "thin", 0.2),
]


def factor(figure, peer):
    for what, unit, name, limit in AIMS:
        if re.search(what, f"{figure['suite']} {figure['name']}") and re.search(unit, figure["unit"]) and re.search(name, peer):
            return limit
    return None


def key(unit):
    return re.sub(r"\W+", "_", unit.replace("I/O", "io").replace("/", " per ")).strip("_").lower()


def read(path):
    """The figures of a file; ValueError names the line that is none."""
    figures = []
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            try:
                figure = json.loads(line)
                for side in [figure["quoll"], *figure["peers"].values()]:
                    if side is not None and not parse.number(side["min"]) <= parse.number(side["median"]) <= parse.number(side["max"]):
                        raise ValueError("median out of its extremes")
                if not all(isinstance(figure[name], str) for name in ("suite", "name", "unit")):
                    raise ValueError("a name that is none")
                figures.append({name: figure[name] for name in ("suite", "name", "unit", "quoll", "peers")})
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as why:
                raise ValueError(f"{path}:{number}: no figure: {why!r}") from why
    return figures


def row(figure, command):
    """One figure as a row of the report."""
    unit = key(figure["unit"])
    name = key(f"{figure['suite']} {figure['name']} {figure['unit']}")

    def side(values):
        if values is None:
            return {"program": figure["suite"], "missing": "not measured"}
        return {"program": figure["suite"], "command": command, unit: values}

    peers = []
    for peer, values in figure["peers"].items():
        peers.append({"name": peer, **side(values), "factor": factor(figure, peer)})
    return measure.finish_row(Row(name, "lab", figure["name"], unit, figure["name"].replace(", ", "\\n"), None, None, None),
                              side(figure["quoll"]), peers)


def run(words):
    """(rows, errors) of one run of the lab."""
    with tempfile.TemporaryDirectory(prefix="quoll-bench-lab.") as out:
        command = [os.path.join(machine.TOP, "tests/vm/lab"), "run", "--out", out, "--trace", os.path.join(out, "trace"), *words]
        done = subprocess.run(command, cwd=machine.TOP, capture_output=True, text=True, check=False)
        shown = machine.shown(command).replace(out, "DIR")
        path = os.path.join(out, "figures.jsonl")
        errors = []
        if done.returncode:
            said = [line for line in done.stdout.splitlines() if line.startswith("not ok")] or done.stdout.splitlines()[-5:]
            errors.append("\n  | ".join([f"{shown}: exit status {done.returncode}", *said, *done.stderr.splitlines()[-5:]]))
        try:
            rows_ = [row(figure, shown) for figure in read(path)] if os.path.exists(path) else []
        except ValueError as why:
            return [], errors + [str(why)]
        if not rows_:
            errors.append(f"{shown}: no figures")
        return rows_, errors


def rows(quick):
    """All rows, and what went wrong; @quick: only what is counted."""
    done, errors = [], []
    for words in [COUNTED] if quick else [COUNTED, TIMED]:
        more, wrong = run(words)
        done += more
        errors += wrong
    return done, errors
