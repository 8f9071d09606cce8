# SPDX-License-Identifier: BSD-3-Clause
"""Rounds: in each, every program that a row asks for runs once, Quoll's and the peer's in turns."""
import re

from . import machine, parse, programs, stats


def _wanted(rows):
    names = {row.quoll[0] for row in rows} | {peer[1] for row in rows for peer in row.peers}
    return [program for program in programs.PROGRAMS if program.name in names]


class Measurement:
    """What was run, and what came of it.

    values:   {program: {figure: [one a round]}}
    commands: {program: its command line}
    missing:  {program: why it could not run here}
    errors:   {program: what went wrong}; it is not run again
    """

    def __init__(self, rows, context, say):
        self.context, self.say = context, say
        self.values, self.commands, self.missing, self.errors = {}, {}, {}, {}
        self.programs = _wanted(rows)

    def run(self, rounds):
        for program in self.programs:
            why = programs.missing(program, self.context)
            if why:
                self.missing[program.name] = why
        for number in range(1, rounds + 1):
            for program in self.programs:
                if program.name not in self.missing and program.name not in self.errors:
                    self.say(f"round {number} of {rounds}: {program.name}")
                    self._once(program)

    def _once(self, program):
        command = program.command(self.context)
        script = program.script(self.context) if program.script else ()
        self.commands[program.name] = machine.shown(command, script)
        try:
            text, seconds = machine.run(command, script)
            figures = program.parse(text, self.context)
        except (machine.Failed, parse.Misfit, OSError) as why:
            self.errors[program.name] = f"{program.name}: {why}"
            return
        if program.wall_ms:
            figures["wall_ms"] = seconds * 1e3
        for figure, value in figures.items():
            self.values.setdefault(program.name, {}).setdefault(figure, []).append(value)

    def side(self, program, figure, unit):
        """One side of a row, as it stands in the report."""
        if program in self.missing:
            return {"program": program, "missing": self.missing[program]}
        side = {"program": program, "command": self.commands.get(program)}
        if program in self.errors:
            side["error"] = self.errors[program]
        elif figure not in self.values.get(program, {}):
            side["error"] = self.errors[f"{program} {figure}"] = f"{program}: its output has no figure '{figure}'"
        else:
            values = self.values[program][figure]
            side[unit] = {**stats.summarize(values), "all": values}
        return side


def median(side, unit):
    return side[unit]["median"] if unit in side else None


def holds(value, limit, direction="lower"):
    """True, False, or None where a side is missing."""
    if value is None:
        return None
    return value >= limit if direction == "higher" else value <= limit


def better(unit):
    return "higher" if re.search("iops|per_s$", unit) else "lower"


def ratio(quoll, peer, unit):
    """The median of the rounds' ratios, as the machine may be another one in each; where rounds are no pairs, that of the
    medians. None where a side is missing."""
    mine, theirs = (side.get(unit, {}) for side in (quoll, peer))
    rounds = mine.get("all", ()), theirs.get("all", ())
    if rounds[0] and len(rounds[0]) == len(rounds[1]) and all(rounds[1]):
        return stats.summarize([a / b for a, b in zip(*rounds)])["median"]
    return mine["median"] / theirs["median"] if mine and theirs.get("median") else None


def finish_row(row, quoll, peers):
    """The row as it stands in the report. A peer may bring an aim of its own, as a factor."""
    kind, limit = row.aim or (None, None)
    direction = better(row.unit)
    least_or_most = "at least" if direction == "higher" else "at most"
    mine = median(quoll, row.unit)
    for nr, peer in enumerate(peers):
        peer["ratio"] = ratio(quoll, peer, row.unit)
        factor = peer.pop("factor", limit if kind == "ratio" and nr == 0 else None)
        peer["aim"] = None if factor is None else f"{least_or_most} {factor:g} of {peer['name']}'s"
        peer["met"] = None if factor is None else holds(peer["ratio"], factor, direction)
    at_most = limit if kind == "at most" else None
    return {"name": row.name, "group": row.group, "question": row.question, "unit": row.unit,
            "better": direction, "label": row.label,
            "quoll": quoll, "peers": peers, "aim": None if at_most is None else f"at most {at_most:g}",
            "met": None if at_most is None else holds(mine, at_most)}


def finish(rows, measurement):
    done = []
    for row in rows:
        quoll = measurement.side(*row.quoll, row.unit)
        peers = [{"name": name, **measurement.side(program, figure, row.unit)} for name, program, figure in row.peers]
        done.append(finish_row(row, quoll, peers))
    return done
