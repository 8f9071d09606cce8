# SPDX-License-Identifier: BSD-3-Clause
"""The report as JSON and as text; the text is rendered from the same document."""
import json
import textwrap

from .rows import GROUPS

WIDTH = 132


def document(environment, rows, errors, options):
    return {
        "report": "quoll benchmarks",
        "version": 1,
        "started_at": options["started_at"],
        "duration_s": options["duration_s"],
        "rounds": options["rounds"],
        "quick": options["quick"],
        "tsc_hz": options["tsc_hz"],
        "environment": environment,
        "rows": rows,
        "errors": errors,
    }


def write_json(path, doc):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(doc, f, indent=2, ensure_ascii=False)
        f.write("\n")


def number(value):
    """Three digits that count, no exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(side, unit):
    """'3.21 (3.10-3.50)', or why there is none."""
    if unit not in side:
        return side.get("missing") or "error"
    its = side[unit]
    if its["n"] == 1 and its["min"] == its["max"]:
        return number(its["median"])
    return f"{number(its['median'])} ({number(its['min'])}-{number(its['max'])})"


def words_of(row):
    spelt = {"tsc": "TSC", "mmio": "MMIO", "iops": "IOPS", "io": "I/O", "cpu": "CPU", "mib": "MiB"}
    return " ".join(spelt.get(word, word) for word in row["unit"].split("_")) + (" (higher is better)" if row["better"] == "higher" else "")


def verdict(side):
    if side["aim"] is None:
        return ""
    return {True: "met", False: "not met", None: "unknown"}[side["met"]]


def lines_of(row):
    """One line a peer: (row's own cells or blanks, name of the peer, its figure, ratio, aim, whether it is met)."""
    unit = row["unit"]
    own = (row["name"], words_of(row), spread(row["quoll"], unit))
    lines = []
    for nr, peer in enumerate(row["peers"]):
        judged = peer if peer["aim"] or nr else row
        ratio = "" if peer["ratio"] is None else f"{peer['ratio']:.2f}"
        lines.append((own if nr == 0 else ("", "", ""), peer["name"], spread(peer, unit), ratio, judged["aim"] or "",
                      verdict(judged)))
    return lines or [(own, "", "no peer", "", row["aim"] or "", verdict(row))]


def table_lines(rows):
    """The rows of one group as a table."""
    lines = [("", "unit", "Quoll", "peer", "", "ratio", "aim", "")]
    lines += [own + tuple(rest) for row in rows for own, *rest in lines_of(row)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]


def environment_lines(environment):
    versions = environment["versions"]
    mitigated = [f"{name}: {what}" for name, what in environment["mitigations"].items() if what != "Not affected"]
    pages = ", ".join(f"{nr} of {int(size) >> 10} KiB" for size, nr in environment["free_hugepages"].items())
    nice = environment["autogroup_nice"]
    facts = [
        ("CPU", f"{environment['cpu']}, {environment['nr_cpus']} CPUs, used {environment['cpus_used']}, "
                f"virtual machine: {environment['virtual_machine']}, governor: {environment['governor'] or 'unknown'}"),
        ("kernel", environment["kernel"]),
        ("mitigations", "; ".join(mitigated) or "none needed"),
        ("hugepages", f"free: {pages or 'none'}"),
        ("priority", f"autogroup nice {nice}" if nice is not None else "not grouped by session"),
        ("versions", "; ".join(f"{name} {text or 'not installed'}" for name, text in versions.items())),
    ]
    lines = []
    for name, text in facts:
        lines += textwrap.wrap(f"{name:<12}{text}", WIDTH, subsequent_indent=" " * 12, break_on_hyphens=False)
    return lines


def command_lines(rows):
    """Each command line once, in the order of the rows."""
    commands = {}
    for row in rows:
        for side in [row["quoll"], *row["peers"]]:
            if side.get("command"):
                commands.setdefault(side["program"], side["command"])
    return [f"  {name:<20}{command}" for name, command in commands.items()]


def text(doc):
    lines = environment_lines(doc["environment"])
    lines += ["", f"Medians of {doc['rounds']} round{'s' if doc['rounds'] > 1 else ''} (min-max); lower is better unless it says otherwise.",
              "A ratio is the median of the rounds' ratios."]
    if doc["quick"]:
        lines.append("A quick run: the programs are exercised, the figures are no evidence.")
    for group, title in GROUPS.items():
        rows = [row for row in doc["rows"] if row["group"] == group]
        if not rows:
            continue
        lines += ["", title, *table_lines(rows)]
        for row in rows:
            lines += textwrap.wrap(f"{row['name']}: {row['question']}", WIDTH, initial_indent="  ", subsequent_indent="    ")
    lines += ["", "Command lines", *command_lines(doc["rows"])]
    if doc["errors"]:
        lines += ["", "Errors", *(f"  {error}" for error in doc["errors"])]
    return "\n".join(lines)
