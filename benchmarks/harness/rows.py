# SPDX-License-Identifier: BSD-3-Clause
"""The questions: which figure of which program stands beside which. Figures are better when lower, but for IOPS."""
from collections import namedtuple

from . import programs

# quoll: (program, figure). peers: [(its name, program, figure)]. aim: ("ratio", most times the first peer's; least times
# where more is better), or ("at most", figure), or None. label: for plots.
Row = namedtuple("Row", "name group question unit label quoll peers aim")

GROUPS = {
    "rings": "Rings",
    "memory": "Pools and heap",
    "forwarding": "Forwarding on one core",
    "links": "Frames round between two cores, over two links of vhost-user; one end beside DPDK's, the other end the same",
    "start": "Start",
    "idle": "Idle",
    "target": "A storage target on one core, its initiator on another (vfio-user, 4 KiB)",
    "lab": "In the lab VM",
}

DPDK = "DPDK"
SPDK = "SPDK"
ELEMENT = "tsc_ticks_per_element"
BUFFER = "tsc_ticks_per_buffer"
PACKET = "tsc_ticks_per_packet"
EQUAL = ("ratio", 1.0)
SEVEN_TENTHS = ("ratio", 0.7)
HALF = ("ratio", 0.5)


def _one_core(kind, dpdk, batch):
    call = "single" if batch == 1 else "bulk"
    what = f"in bulks of {batch}" if batch > 1 else "one at a time"
    return Row(f"{kind.lower()}_one_core_{batch}", "rings", f"{kind} ring, one core: a pointer in and out, {what}", ELEMENT,
               f"{kind}, 1 core\\nbulk {batch}", ("bench_rings", f"{kind} enqueue + dequeue/{batch}"),
               [(DPDK, "ring_perf_autotest", f"one {dpdk} {call} {batch}")], EQUAL)


def _two_cores(batch):
    return Row(f"spsc_two_cores_{batch}", "rings",
               f"SPSC ring between two cores, in bulks of {batch}: both sides' time for a pointer", ELEMENT,
               f"SPSC, 2 cores\\nbulk {batch}", ("bench_spsc", f"bulk {batch}"),
               [(DPDK, "ring_perf_autotest", f"two SP/SC bulk {batch}")], HALF)


def _memory(name, question, unit, label, line, peer_line, aim, batch=32):
    return Row(name, "memory", question, unit, label, ("bench_rings", f"{line}/{batch}"),
               [(DPDK, "dpdk_memory", f"{peer_line}/{batch}")] if peer_line else [], aim)


def _forward(name, question, label, program, figure, peer):
    return Row(name, "forwarding", question, PACKET, label, (program, figure), [(DPDK, peer, "ticks")], SEVEN_TENTHS)


AT_THE_OTHER_END = {"dpdk": "testpmd", "quoll": "quoll fwd"}


def _link(figure, end, ring, wire_bytes, peer):
    """@figure: of one end's core, or of all that goes round."""
    program, theirs = (programs.link_name(end, ring, wire_bytes, side, peer) for side in ("quoll", "dpdk"))
    name = f"{end.replace('-user', '')}_{ring}_{wire_bytes}{'_on_quoll' if peer == 'quoll' else ''}"
    what = f"{end}, {ring} rings, frames of {wire_bytes} bytes, {AT_THE_OTHER_END[peer]} at the other end"
    label = f"{end} {ring}\\n{wire_bytes} on {peer}"
    if figure == "mpps":
        return Row(f"{name}_mpps", "links", f"{what}: how many go round", "million_packets_per_s", label, (program, figure),
                   [(DPDK, theirs, figure)], None)
    return Row(name, "links", f"{what}: quoll fwd beside testpmd io, time in polls that found some", PACKET, label, (program, figure),
               [(DPDK, theirs, figure)], SEVEN_TENTHS)


WHAT = {"null": "a namespace that moves no data", "mem": "a namespace in memory"}
KINDS = {("quoll", "quoll"): ("", "Quoll on both sides"), ("quoll", "spdk"): ("spdk_on_quoll_", "SPDK's initiator on Quoll's target"),
         ("spdk", "quoll"): ("quoll_on_spdk_", "Quoll's initiator on SPDK's target")}


def _target(kind, target, initiator, depth):
    """IOPS of one pair beside SPDK with itself. Of memory the copying alone stands there too."""
    prefix, who = KINDS[target, initiator]
    aim = {"null": 1.3, "mem": 1.2}[kind] if not prefix else 1.0
    peers = [(SPDK, f"spdk_spdk_{kind}", f"qd{depth} iops")]
    if kind == "mem" and not prefix:
        peers.append(("memcpy", "bench_copy", "copies"))
    return Row(f"{prefix}{kind}_qd{depth}", "target", f"random reads of {WHAT[kind]}, {depth} in flight: {who}", "iops",
               f"{prefix.replace('_', ' ')}{kind}\\nQD {depth}", (f"{target}_{initiator}_{kind}", f"qd{depth} iops"), peers, ("ratio", aim))


def _latency(kind, depth, percent):
    return Row(f"{kind}_qd{depth}_p{percent}", "target", f"latency of these, {depth} in flight, "
               f"{'median' if percent == 50 else f'{percent}th percentile'}", "ns_per_read", f"{kind} QD {depth}\\np{percent}",
               (f"quoll_quoll_{kind}", f"qd{depth} p{percent}_ns"), [(SPDK, f"spdk_spdk_{kind}", f"qd{depth} p{percent}_ns")], None)


def _first_io(name, program, question, peers):
    return Row(name, "target", f"an initiator's process from its start to its end, one read completed: {question}", "ms_per_run",
               name.replace("_", " "), (program, "first_io_ms"), peers, ("at most", 20.0))


def _idle(doorbells, figure, name, question, unit, aim):
    return Row(f"{name}_{doorbells}", "target", f"{question}, {doorbells} doorbells", unit, f"{name.replace('_', ' ')}\\n{doorbells}",
               (f"quoll_idle_{doorbells}", figure), [], aim)


ROWS = [
    _one_core("SPSC", "SP/SC", 1),
    _one_core("SPSC", "SP/SC", 8),
    _one_core("SPSC", "SP/SC", 32),
    _one_core("MPMC", "MP/MC", 1),
    _one_core("MPMC", "MP/MC", 8),
    _one_core("MPMC", "MP/MC", 32),
    _two_cores(8),
    _two_cores(32),
    _memory("pool_mbufs", "a buffer with its header in order, got and put by 32s (peer: rte_pktmbuf_alloc_bulk, _free_bulk)",
            BUFFER, "pool\\nmbufs", "pool get + put, within the cache", "mbuf alloc + free, within the cache", EQUAL),
    _memory("pool_mempool", "the same beside bare pointers (peer: rte_mempool_get_bulk, _put_bulk, which touch no buffer)",
            BUFFER, "pool\\nmempool", "pool get + put, within the cache", "mempool get + put, within the cache", EQUAL),
    _memory("pool_exchange", "1,024 buffers held, then given back by 32s: the caches of 512 run empty and full", BUFFER,
            "pool, cache\\nexchanged", "pool get + put, with exchanges", "mbuf alloc + free, with exchanges", EQUAL),
    _memory("heap_2k", "2 KiB of zeroed DMA memory allocated and freed, 8 at a time (peer: rte_zmalloc, rte_free)",
            "tsc_ticks_per_allocation", "heap\\n2 KiB", "heap alloc + free, 2 KiB", "rte_zmalloc + rte_free, 2 KiB", EQUAL, 8),
    _memory("heap_iova", "a checked IOVA look-up of any address (no fair peer: DPDK's look-ups check nothing)",
            "tsc_ticks_per_lookup", "IOVA\\nlook-up", "quoll_heap_iova", None, None),
    _forward("null_loop", "null ports, a bare receive and transmit loop beside testpmd io", "null\\nbare loop", "bench_ports",
             "null", "testpmd_null"),
    _forward("null_fwd", "null ports, quoll fwd beside testpmd io", "null\\nquoll fwd", "fwd_null", "ticks", "testpmd_null"),
    _forward("null_fwd_mac", "null ports, both MAC addresses rewritten: quoll fwd beside testpmd mac", "null, MACs\\nquoll fwd",
             "fwd_null_mac", "ticks", "testpmd_null_mac"),
    _forward("gen_null", "frames of 64 bytes made and sent to a null port: quoll gen, 64 flows, each frame with number, time and both checksums, "
             "beside testpmd txonly, which copies one header", "null\\nquoll gen", "gen_null", "ticks", "testpmd_txonly"),
    _forward("ring_loop", "two looped rings, 512 frames on the way: a bare loop beside testpmd io on net_ring",
             "ring\\nbare loop", "bench_ports", "ring", "testpmd_ring"),
    _forward("ring_loop_port", "the same, a bare loop on both sides, each packet's port set as it comes in: net_ring does so from "
             "DPDK 24.07 on, for an older one the loop does", "ring, port set\\nbare loop", "bench_ports", "ring", "dpdk_ports"),
    _forward("ring_fwd", "two looped rings as above: quoll fwd beside testpmd io",
             "ring\\nquoll fwd", "fwd_ring", "ticks", "testpmd_ring"),
    _forward("ring_fwd_mac", "the same, both MAC addresses rewritten: quoll fwd beside testpmd mac", "ring, MACs\\nquoll fwd",
             "fwd_ring_mac", "ticks", "testpmd_ring_mac"),
    *(_forward(f"xdp_fwd_{n}", f"AF_XDP on both ends of one veth, frames of {n} bytes going round: quoll fwd beside testpmd io; the "
               "kernel's part is in it", f"AF_XDP {n}\\nquoll fwd", f"fwd_xdp_{n}", "ticks", f"testpmd_xdp_{n}")
      for n in programs.WIRE_BYTES),
    *(_link(figure, *where) for figure in ("ticks", "mpps") for where in programs.LINKS),
    Row("start", "start", "a process from its start to its end with a first burst forwarded between null ports",
        "ms_per_run", "start", ("fwd_start", "wall_ms"), [(DPDK, "testpmd_start", "wall_ms")], None),
    Row("idle_cpu", "idle", "a loop without work for a second: how much of a CPU", "percent_of_a_cpu", "idle",
        ("bench_idle", "cpu_percent"), [], ("at most", 0.1)),
    Row("wake_p50", "idle", "an event to the first poll of a sleeping loop, median (peer: epoll alone)", "us_to_wake",
        "wake-up\\np50", ("bench_idle", "loop_p50_us"), [("epoll", "bench_idle", "epoll_p50_us")], ("at most", 100.0)),
    Row("wake_p99", "idle", "the same, 99th percentile", "us_to_wake", "wake-up\\np99", ("bench_idle", "loop_p99_us"),
        [("epoll", "bench_idle", "epoll_p99_us")], ("at most", 100.0)),
    *(_target(kind, *pair, depth) for pair in KINDS for kind in WHAT for depth in (1, 32, 128)),
    Row("mem_write_qd32", "target", "random writes of a namespace in memory, 32 in flight: Quoll on both sides", "iops",
        "mem, write\\nQD 32", ("quoll_quoll_write", "qd32 iops"), [(SPDK, "spdk_spdk_write", "qd32 iops")], ("ratio", 1.2)),
    *(_latency(kind, depth, percent) for kind in WHAT for depth, percent in ((1, 50), (1, 99), (32, 99))),
    _first_io("first_io", "quoll_quoll_null", "hugepages if there are any", [(SPDK, "spdk_spdk_null", "first_io_ms")]),
    _first_io("first_io_4k", "quoll_start_4k", "ordinary pages", []),
    Row("target_start", "target", "a target's process from its start until it accepts an initiator", "ms_per_run", "target start",
        ("quoll_quoll_null", "target_start_ms"), [(SPDK, "spdk_spdk_null", "target_start_ms")], None),
    Row("target_memory", "target", "a target's memory after its runs, no initiator connected, a namespace without memory", "mib",
        "target memory", ("quoll_quoll_null", "target_mib"), [(SPDK, "spdk_spdk_null", "target_mib")], ("at most", 32.0)),
    _idle("trapped", "idle_cpu", "target_idle", "an initiator is connected and sends nothing: the target's CPU", "percent_of_a_cpu",
          ("at most", 0.1)),
    _idle("mapped", "idle_cpu", "target_idle", "an initiator is connected and sends nothing: the target's CPU", "percent_of_a_cpu", None),
    _idle("trapped", "wake p50_us", "target_wake", "a read to its completion, the target asleep before it, median", "us_per_read", None),
    _idle("mapped", "wake p50_us", "target_wake", "a read to its completion, the target asleep before it, median", "us_per_read", None),
]


def chosen(only):
    """The rows whose name or group is in @only (all without it). ValueError names what is neither."""
    known = {row.name for row in ROWS} | set(GROUPS)
    for name in only:
        if name not in known:
            raise ValueError(name)
    return [row for row in ROWS if not only or row.name in only or row.group in only]
