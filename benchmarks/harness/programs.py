# SPDX-License-Identifier: BSD-3-Clause
"""The programs of both sides: how each is run, and how what it prints is read.

Both sides of a pair run on the same CPUs (taskset), with the same pool, cache and burst; see README.md for each pair.
"""
import os
import shutil
import subprocess
import sys
from collections import namedtuple

from . import dpdk, link, machine, pair, parse
from .dpdk import BUFS, BURST, FCS_BYTES, eal

# side: "quoll" or the peer's name. command(context) -> words; script(context) -> what it is told on stdin, see machine.run.
# parse(text, context) -> {figure: value}. cpus: how many it needs. needs: a program that must be installed, or a function
# of the context that says why it can't run.
Program = namedtuple("Program", "name side needs cpus command script parse wall_ms")

ON_THE_WAY = 512 # frames in two rings
WIRE_BYTES = (64, 512, 1518) # of frames, with FCS
DST_MACS = "02:00:00:00:00:00,02:00:00:00:00:01" # testpmd's own


def built(context, path):
    return os.path.join(context["build"], path)


def on_worker(context, *words):
    return ["taskset", "-c", str(context["cpus"][-1]), *words]


def on_both(context, *words):
    return ["taskset", "-c", ",".join(map(str, context["cpus"])), *words]


def fwd(mode, *ports, frame_bytes=64):
    def command(context):
        words = [built(context, "apps/quoll/quoll"), "fwd", *ports, "--burst", str(BURST), "--bufs", str(BUFS), "--cores",
                 str(context["cpus"][-1]), "--time", str(context["seconds"]), "--json"]
        if not ports[0].startswith("null:"):
            words += ["--prime", str(ON_THE_WAY // 2), "--entries", "1024", "--frame-bytes", str(frame_bytes)]
        if mode == "mac":
            words += ["--mac-rewrite", "--dst-mac", DST_MACS]
        return on_both(context, *words)

    return command


def testpmd(mode, *vdevs, extra=()):
    return lambda context: on_both(context, *dpdk.testpmd(context["cpus"], mode, vdevs, extra))


def measured(start):
    """testpmd shows rates since it was last asked for them."""

    def script(context):
        return [(start, 0.5), ("show port stats all", context["seconds"]), ("show port stats all", 0), ("stop", 0),
                ("quit", 0)]

    return script


NULLS = ("net_null0,size=64", "net_null1,size=64")
RINGS = ("net_ring0", "net_ring1")
XDPS = ("net_af_xdp0,iface=veth0", "net_af_xdp1,iface=veth1") # busy polling, 64 frames: its default
LOOPS = ("ring:a?loop=1", "ring:b?loop=1")
TX_FIRST = f"start tx_first {ON_THE_WAY // 2 // BURST}"


def _quoll(name, path, words=(), pin=on_worker, reader=parse.table, cpus=1):
    return Program(name, "quoll", None, cpus, lambda context: pin(context, built(context, path), *words), None, reader,
                   False)


def _quoll_fwd(name, mode, *ports):
    return Program(name, "quoll", None, 2, fwd(mode, *ports), None, parse.fwd, False)


def _testpmd(name, mode, vdevs, start):
    return Program(name, "dpdk", "dpdk-testpmd", 2, testpmd(mode, *vdevs), measured(start), parse.testpmd, False)


VETH = os.path.join(machine.TOP, "benchmarks/veth")


def _no_veth(_context):
    if os.geteuid():
        return "needs root: a network namespace"
    if not shutil.which("ip"):
        return "iproute2: not installed"
    probe = subprocess.run([VETH, sys.executable, "-B", os.path.join(machine.TOP, "tests/can_xdp.py")], capture_output=True,
                           check=False, timeout=30)
    return "network namespaces, veth or AF_XDP: not here" if probe.returncode else None


def _in_veth(command):
    return lambda context: [VETH, *command(context)]


def _no_dpdk_veth(context):
    return _no_veth(context) or (None if shutil.which("dpdk-testpmd") else "dpdk: not installed")


def _fwd_xdp(wire_bytes):
    """Two ends of one line, on which frames go round; of so many bytes with FCS."""
    command = fwd("io", "xdp:veth0?busy=64", "xdp:veth1?busy=64", frame_bytes=wire_bytes - FCS_BYTES)
    return Program(f"fwd_xdp_{wire_bytes}", "quoll", _no_veth, 2, _in_veth(command), None, parse.fwd, False)


def _testpmd_xdp(wire_bytes):
    command = testpmd("io", *XDPS, extra=(f"--txpkts={wire_bytes - FCS_BYTES}",))
    return Program(f"testpmd_xdp_{wire_bytes}", "dpdk", _no_dpdk_veth, 2, _in_veth(command), measured(TX_FIRST), parse.testpmd, False)


def _gen(context):
    return on_worker(context, built(context, "apps/quoll/quoll"), "gen", "null:", "--tx-only", "--burst", str(BURST), "--flows", "64",
                     "--time", str(context["seconds"]), "--json")


def _spsc(context):
    return on_both(context, built(context, "benchmarks/bench_spsc"), "--cpus", ",".join(map(str, context["cpus"])), "--json")


def _idle(context):
    return on_both(context, built(context, "benchmarks/bench_idle"), "--json", *(["--samples", "200"] if context["quick"] else []))


def _first_packet(context):
    return on_both(context, built(context, "apps/quoll/quoll"), "fwd", "null:", "null:", "--packets", "32", "--json")


def _ring_perf(context):
    # Measures one core on the main lcore: the CPU that ours runs on. (With another main lcore it hangs.)
    return on_both(context, "dpdk-test", *eal(*reversed(context["cpus"])), "ring_perf_autotest")


def _dpdk_memory(context):
    return on_worker(context, built(context, "benchmarks/dpdk_memory"), *eal(context["cpus"][-1]))


def _dpdk_ports(context):
    return on_worker(context, built(context, "benchmarks/dpdk_ports"), *eal(context["cpus"][-1]), "--vdev", RINGS[0], "--vdev",
                     RINGS[1])


def _testpmd_start(context):
    return testpmd("io", *NULLS)(context)


# Storage targets: who serves, who asks. The namespace has random data in it where it is memory.
NAMESPACE_MIB = 1024
QUICK_NAMESPACE_MIB = 64


def _namespace_mib(context):
    return QUICK_NAMESPACE_MIB if context["quick"] else NAMESPACE_MIB


def _pair(name, target, initiator, kind, *words):
    def command(context):
        return [os.path.join(machine.TOP, "benchmarks/pair"), "--quoll", built(context, "apps/quoll/quoll"), "--target", target, "--initiator", initiator, "--ns", kind, "--cpus",
                ",".join(map(str, context["cpus"])), "--size-mib", str(_namespace_mib(context)), "--seconds", "1", *words]

    def needs(context):
        huge = "--no-huge" not in words
        return pair.missing(target, initiator, _namespace_mib(context) if kind == "mem" else 0, huge)

    side = "quoll" if (target, initiator) == ("quoll", "quoll") else "spdk"
    return Program(name, side, needs, 2, command, None, parse.pair, False)


def _link(end, ring, wire_bytes, measured_side, peer):
    def command(context):
        return [os.path.join(machine.TOP, "benchmarks/link"), "--quoll", built(context, "apps/quoll/quoll"), "--end", end, "--measured",
                measured_side, "--peer", peer, "--ring", ring, "--frame-bytes", str(wire_bytes - FCS_BYTES), "--seconds",
                "0.1" if context["quick"] else "1", "--cpus", ",".join(map(str, context["cpus"]))]

    return Program(link_name(end, ring, wire_bytes, measured_side, peer), measured_side, lambda _context: link.missing(measured_side, peer), 2,
                   command, None, parse.link, False)


def link_name(end, ring, wire_bytes, measured_side, peer):
    return f"{measured_side}_{end.replace('-', '_')}_{ring}_{wire_bytes}_on_{peer}"


LINKS = [(end, ring, wire_bytes, peer) for peer in ("dpdk", "quoll") for end in link.ENDS for ring in link.DPDK_DRIVER
         for wire_bytes in WIRE_BYTES]

PROGRAMS = [
    _quoll("bench_rings", "benchmarks/bench_rings"),
    Program("bench_spsc", "quoll", None, 2, _spsc, None,
            parse.figures({f"bulk {n}": (f"cases.{n}.median_ticks_per_element", 1) for n in (8, 32)}), False),
    Program("ring_perf_autotest", "dpdk", "dpdk-test", 1, _ring_perf, None, parse.ring_perf, False),
    Program("dpdk_memory", "dpdk", "benchmarks/dpdk_memory", 1, _dpdk_memory, None, parse.table, False),
    _quoll("bench_ports", "benchmarks/bench_ports", ["--json"],
           reader=parse.figures({name: (f"cases.{name}.median_ticks_per_packet", 1) for name in ("null", "ring")})),
    Program("dpdk_ports", "dpdk", "benchmarks/dpdk_ports", 1, _dpdk_ports, None,
            parse.figures({"ticks": ("cases.ring_port.median_ticks_per_packet", 1)}), False),
    Program("gen_null", "quoll", None, 1, _gen, None, parse.gen, False),
    Program("testpmd_txonly", "dpdk", "dpdk-testpmd", 2, testpmd("txonly", NULLS[0], extra=("--txpkts=60",)), measured("start"), parse.testpmd, False),
    _quoll_fwd("fwd_null", "io", "null:", "null:"),
    _testpmd("testpmd_null", "io", NULLS, "start"),
    _quoll_fwd("fwd_null_mac", "mac", "null:", "null:"),
    _testpmd("testpmd_null_mac", "mac", NULLS, "start"),
    _quoll_fwd("fwd_ring", "io", *LOOPS),
    _testpmd("testpmd_ring", "io", RINGS, TX_FIRST),
    _quoll_fwd("fwd_ring_mac", "mac", *LOOPS),
    _testpmd("testpmd_ring_mac", "mac", RINGS, TX_FIRST),
    *(kind(wire_bytes) for wire_bytes in WIRE_BYTES for kind in (_fwd_xdp, _testpmd_xdp)),
    *(_link(*where, measured_side, peer) for *where, peer in LINKS for measured_side in ("quoll", "dpdk")),
    Program("fwd_start", "quoll", None, 1, _first_packet, None, parse.fwd_started, True),
    Program("testpmd_start", "dpdk", "dpdk-testpmd", 2, _testpmd_start,
            lambda _context: [("start", 0), ("stop", 0), ("quit", 0)], parse.testpmd_started, True),
    Program("bench_idle", "quoll", None, 1, _idle, None, parse.figures({
        "cpu_percent": ("idle.can_wake.cpu_percent", 1),
        "loop_p50_us": ("wake.loop.p50_ns", 1e-3), "loop_p99_us": ("wake.loop.p99_ns", 1e-3),
        "epoll_p50_us": ("wake.epoll.p50_ns", 1e-3), "epoll_p99_us": ("wake.epoll.p99_ns", 1e-3)}), False),
    _quoll("bench_copy", "benchmarks/bench_copy", ["--json"], reader=parse.figures({"copies": ("copies_per_s", 1)})),
    *(_pair(f"{target}_{initiator}_{kind}", target, initiator, kind)
      for kind in ("null", "mem") for target in ("quoll", "spdk") for initiator in ("quoll", "spdk")),
    *(_pair(f"{side}_{side}_write", side, side, "mem", "--rw", "randwrite", "--qd", "32") for side in ("quoll", "spdk")),
    _pair("quoll_start_4k", "quoll", "quoll", "null", "--qd", "1", "--no-huge"),
    *(_pair(f"quoll_idle_{doorbells}", "quoll", "quoll", "null", "--qd", "1", "--idle", "--doorbells", doorbells)
      for doorbells in ("mapped", "trapped")),
]
BY_NAME = {program.name: program for program in PROGRAMS}


def missing(program, context):
    """Why it cannot be run here, None if it can."""
    if program.cpus > len(context["cpus"]):
        return f"needs {program.cpus} physical cores"
    if callable(program.needs):
        return program.needs(context)
    if program.needs and "/" in program.needs:
        return None if os.access(built(context, program.needs), os.X_OK) else f"{program.side}: headers not installed"
    if program.needs and not shutil.which(program.needs):
        return f"{program.side}: not installed"
    return None
