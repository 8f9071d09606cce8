# SPDX-License-Identifier: BSD-3-Clause
"""Reading what the programs print. What does not fit is an error that names it: nothing is guessed."""
import json
import re


class Misfit(Exception):
    """Output that is not what was expected."""

    def __init__(self, what, text):
        tail = text.strip().splitlines()[-12:]
        super().__init__("\n  | ".join([f"output does not fit: {what}; it ends with"] + tail))


def table(text, context):
    """bench_rings, dpdk_memory: {"LINE/BATCH": ticks}; the clock's rate is noted in @context."""
    head = re.search(r"^TSC ([\d.]+) GHz; ticks an element, .*; batch of\n +(\d[\d ]*)$", text, re.M)
    if not head:
        raise Misfit("no line 'TSC … GHz; ticks an element'", text)
    batches = head.group(2).split()
    values = {}
    for line in re.finditer(r"^(\S.*?)  +((?:[\d.]+ \([\d.]+-[\d.]+\) *)+)$", text, re.M):
        medians = re.findall(r"([\d.]+) \(", line.group(2))
        if len(medians) != len(batches):
            raise Misfit(f"{line.group(1)}: {len(medians)} figures for {len(batches)} batches", text)
        values.update({f"{line.group(1)}/{batch}": float(median) for batch, median in zip(batches, medians)})
    if not values:
        raise Misfit("no line of figures", text)
    if "copy in and out (memcpy)/1" in values: # ours: read from CPUID; the peer's is rounded
        context["tsc_hz"] = round(float(head.group(1)) * 1e9)
    return values


def document(text):
    """The JSON document of one of Quoll's programs."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as why:
        raise Misfit(f"no JSON document ({why})", text) from why


def number(value):
    """@value if it is a number that one can calculate with; else ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300: # NaN, too
        raise ValueError(f"{value!r} is no number")
    return value


def picked(doc, path, text):
    """The number doc["a"]["b"] for path "a.b"; a list is searched for {"name": "b"} (or bulk)."""
    for key in path.split("."):
        if isinstance(doc, list):
            doc = next((item for item in doc if isinstance(item, dict) and key in (item.get("name"), str(item.get("bulk")))), None)
        else:
            doc = doc.get(key) if isinstance(doc, dict) else None
        if doc is None:
            raise Misfit(f"no {key!r} of {path!r}", text)
    try:
        return number(doc)
    except ValueError as why:
        raise Misfit(f"{path!r}: {why}", text) from why


def figures(paths):
    """A parser that picks figures out of a JSON document: {name: (path, factor)}."""

    def parse(text, context):
        doc = document(text)
        if isinstance(doc, dict) and "tick_hz" in doc:
            context["tsc_hz"] = picked(doc, "tick_hz", text)
        return {name: picked(doc, path, text) * factor for name, (path, factor) in paths.items()}

    return parse


def fwd(text, context):
    """quoll fwd --json: clock ticks a packet, from packets a second, as for the peer; drops are an error."""
    doc = document(text)
    rate, hz = picked(doc, "packets_per_s", text), picked(doc, "tick_hz", text)
    if rate <= 0 or picked(doc, "tx_full", text):
        raise Misfit("no packets, or dropped ones", text)
    context["tsc_hz"] = hz
    return {"ticks": hz / rate}


def gen(text, context):
    """quoll gen --tx-only --json: clock ticks a packet sent."""
    doc = document(text)
    rate, hz = picked(doc, "sent.packets_per_s", text), picked(doc, "tick_hz", text)
    if rate <= 0:
        raise Misfit("no packets", text)
    context["tsc_hz"] = hz
    return {"ticks": hz / rate}


def _ring_line(line):
    """(kind, call, bulk, ticks, per element) of one line of ring_perf_autotest, 22.11's form or the newer one."""
    old = re.match(r"legacy APIs: (SP/SC|MP/MC): (single|bulk|burst)(?: \(size: (\d+)\))?: ([\d.]+)$", line)
    if old:
        return old.group(1), old.group(2), int(old.group(3) or 1), float(old.group(4)), False
    new = re.match(r"legacy APIs - (SP/SC|MP/MC) - (single|bulk|burst)(?: \(n:(\d+) *\))? - cycles per elem: ([\d.]+)$",
                   line)
    return new and (new.group(1), new.group(2), int(new.group(3) or 1), float(new.group(4)), True)


def ring_perf(text, _context):
    """dpdk-test ring_perf_autotest: {"one SP/SC bulk 32": ticks an element, "two …": …}.

    On one core the older form's figure is of a whole bulk, put in and taken out; on two cores both forms' is an element's,
    the sum of both sides.
    """
    section, values = "", {}
    sections = {"single element enq/deq": "one", "bulk enq/deq": "one", "using two physical cores": "two"}
    for line in text.splitlines():
        title = re.match(r"### Testing (.*) ###$", line.strip())
        if title:
            section = sections.get(title.group(1), "")
        fields = _ring_line(line.strip())
        if section and fields:
            kind, call, bulk, ticks, per_element = fields
            values[f"{section} {kind} {call} {bulk}"] = ticks if per_element or section == "two" else ticks / bulk
    if "one SP/SC bulk 32" not in values or "Test OK" not in text:
        raise Misfit("no bulks of 32 on one core, or no 'Test OK'", text)
    return values


def testpmd(text, context):
    """Clock ticks a packet from the second 'show port stats all', whose rates are since the first."""
    blocks = re.findall(r"NIC statistics for port (\d+) .*?Rx-pps: +(\d+).*?Tx-pps: +(\d+)", text, re.S)
    last = {port: int(tx) for port, _rx, tx in blocks}
    if len(blocks) != 2 * len(last) or not last or min(last.values()) == 0:
        raise Misfit("not two lots of port statistics, the second with packets", text)
    if "tsc_hz" not in context:
        raise Misfit("the clock's rate is not known yet", text)
    return {"ticks": context["tsc_hz"] / sum(last.values())}


def testpmd_cycles(text):
    """testpmd --record-core-cycles, stopped: clock ticks a packet in polls that found some; what both ports sent between
    the last two 'show port stats all'."""
    cycles = re.findall(r"CPU cycles/packet=([\d.]+) \(total cycles=\d+ / total [\w ]*packets=(\d+)\) at (\d+) MHz", text)
    if not cycles or not int(cycles[-1][1]):
        raise Misfit("no 'CPU cycles/packet', or none of a packet", text)
    rates = dict(re.findall(r"NIC statistics for port (\d+) .*?Tx-pps: +(\d+)", text, re.S))
    if not rates:
        raise Misfit("no port statistics", text)
    return {"ticks_per_packet": float(cycles[-1][0]), "packets_per_s": sum(map(int, rates.values()))}


def link(text, _context):
    """benchmarks/link: ticks a packet of the end that is measured; millions a second, which are both ends'."""
    doc = document(text)
    return {"ticks": picked(doc, "ticks_per_packet", text), "mpps": picked(doc, "packets_per_s", text) * 1e-6}


def testpmd_started(text, _context):
    """testpmd that started and was told to end: nothing to read but that it did forward."""
    sent = re.findall(r"^ *TX-packets: (\d+)", text, re.M)
    if not sent or not int(sent[-1]):
        raise Misfit("no packet was forwarded", text)
    return {}


def fwd_started(text, _context):
    if not picked(document(text), "packets", text):
        raise Misfit("no packet was forwarded", text)
    return {}


def pair(text, _context):
    """benchmarks/pair: {"qd32 iops", "qd32 p50_ns", …}, and what there is of starting, memory and idling."""
    doc = document(text)
    values = {"first_io_ms": picked(doc, "first_io_ms", text), "target_start_ms": picked(doc, "target_start_ms", text),
              "target_mib": picked(doc, "target_memory_bytes", text) / (1 << 20)}
    for case in doc["cases"]:
        values.update({f"{case['name']} {key}": picked(case, key, text) for key in ("iops", "p50_ns", "p99_ns")})
    if "idle_cpu_percent" in doc:
        values["idle_cpu"] = picked(doc, "idle_cpu_percent", text)
        values.update({f"wake {key}_us": picked(doc, f"wake.{key}_ns", text) * 1e-3 for key in ("p50", "p99")})
    return values
