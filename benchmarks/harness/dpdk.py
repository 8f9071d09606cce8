# SPDX-License-Identifier: BSD-3-Clause
"""How DPDK's programs are run here: what both sides of a pair have alike, and the options of its environment."""
from . import machine

BURST = 32
CACHE = 512 # mbufs, and buffers of ours, in a thread's cache
BUFS = 8192
FCS_BYTES = 4
HUGE_BYTES = 1 << 30
MEMORY_MIB = 512


def eal(*cpus, memory_mib=MEMORY_MIB):
    """DPDK's options: lcore 0, which is the main one, on the first of @cpus, and so on; no devices, no files that others
    see; hugepages if there are any for both sides."""
    words = ["--lcores", ",".join(f"{lcore}@{cpu}" for lcore, cpu in enumerate(cpus)), "--no-pci", "--no-shconf",
             "--no-telemetry", "-m", str(memory_mib)]
    huge = sum(size * nr for size, nr in machine.free_hugepages().items())
    return words if huge >= HUGE_BYTES else words + ["--no-huge"]


def testpmd(cpus, mode, vdevs, extra=(), memory_mib=MEMORY_MIB):
    words = ["dpdk-testpmd", *eal(*cpus, memory_mib=memory_mib)]
    for vdev in vdevs:
        words += ["--vdev", vdev]
    return words + ["--", "-i", f"--total-num-mbufs={BUFS}", f"--mbcache={CACHE}", f"--forward-mode={mode}",
                    f"--burst={BURST}", "--nb-cores=1", *extra]
