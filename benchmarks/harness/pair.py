# SPDX-License-Identifier: BSD-3-Clause
"""A storage target on one CPU, an initiator on another: Quoll's or SPDK's, in any combination, over vfio-user."""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from . import machine, parse

NQN = "nqn.2016-06.io.spdk:cnode1"
SPDK_TARGETS = ("nvmf_tgt", "spdk_tgt") # the first that is there
SPDK_INITIATOR = "spdk_nvme_perf"
MIB = 1 << 20
SPDK_TARGET_MIB = 512 # besides the namespace
SPDK_INITIATOR_MIB = 256
START_S = 10


def spdk_target():
    return next((name for name in SPDK_TARGETS if shutil.which(name)), None)


def huge_mib():
    """What of 2 MiB hugepages is free, where SPDK could make files of them."""
    mounted = re.search(r"^\S+ \S+ hugetlbfs ", machine.read("/proc/mounts", ""), re.M)
    return machine.free_hugepages().get(2 * MIB, 0) * 2 if mounted else 0


def missing(target, initiator, namespace_mib, huge):
    """Why this pair can't be run here; None if it can. @huge: with hugepages if there are any."""
    needs = 0
    if target == "spdk":
        if not spdk_target():
            return "spdk: no nvmf_tgt or spdk_tgt installed"
        needs += SPDK_TARGET_MIB + namespace_mib
    if initiator == "spdk":
        if not shutil.which(SPDK_INITIATOR):
            return f"spdk: no {SPDK_INITIATOR} installed"
        needs += SPDK_INITIATOR_MIB
        if not huge or huge_mib() < needs:
            return f"spdk: no {needs} MiB of hugetlbfs"
    return None


def _run(command, cpu, timeout_s=60):
    """What a program that must end with 0 printed, and how many milliseconds it took."""
    begin = time.monotonic()
    child = machine.spawn(command, cpu, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, errors = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as why:
        child.kill()
        child.communicate()
        raise machine.Failed(f"{machine.shown(command)}: it took too long") from why
    ms = (time.monotonic() - begin) * 1e3
    if child.returncode:
        tail = (out + errors).strip().splitlines()[-12:]
        raise machine.Failed("\n  | ".join([f"{machine.shown(command)}: exit status {child.returncode}", *tail]))
    return out, ms


def spdk_config(kind, namespace_mib, folder):
    """SPDK's target as a JSON configuration: one namespace of 512-byte blocks behind one vfio-user socket."""
    bdev = {"name": "b0", "num_blocks": namespace_mib * MIB // 512, "block_size": 512}
    address = {"trtype": "VFIOUSER", "traddr": folder, "trsvcid": "0"}
    return {"subsystems": [
        {"subsystem": "bdev", "config": [
            {"method": "bdev_null_create" if kind == "null" else "bdev_malloc_create", "params": bdev}]},
        {"subsystem": "nvmf", "config": [
            {"method": "nvmf_create_transport", "params": {"trtype": "VFIOUSER"}},
            {"method": "nvmf_create_subsystem", "params": {"nqn": NQN, "allow_any_host": True}},
            {"method": "nvmf_subsystem_add_ns", "params": {"nqn": NQN, "namespace": {"bdev_name": "b0"}}},
            {"method": "nvmf_subsystem_add_listener", "params": {"nqn": NQN, "listen_address": address}}]}]}


class Target:
    """A target's process, serving one namespace at @path."""

    def __init__(self, options, folder):
        self.path = os.path.join(folder, "cntrl") # SPDK's name for it
        command = self._spdk(options, folder) if options.target == "spdk" else self._quoll(options)
        self.log = tempfile.TemporaryFile()
        self.command = command
        begin = time.monotonic()
        self.child = machine.spawn(command, options.cpus[0], stdout=self.log, stderr=self.log)
        self._await(begin + START_S)
        self.start_ms = (time.monotonic() - begin) * 1e3

    def _quoll(self, options):
        namespace = f"{options.ns}:?size={options.size_mib}M" if options.ns == "null" else f"mem:{options.size_mib}M"
        return [options.quoll, "target", "--listen", f"vfio-user:{self.path}?doorbells={options.doorbells}", "--ns", namespace]

    @staticmethod
    def _spdk(options, folder):
        config = os.path.join(folder, "target.json")
        with open(config, "w", encoding="utf-8") as f:
            json.dump(spdk_config(options.ns, options.size_mib, folder), f)
        memory = SPDK_TARGET_MIB + (options.size_mib if options.ns == "mem" else 0)
        pages = ["-g"] if options.huge else ["--no-huge"]
        return [spdk_target(), "--lcores", f"0@{options.cpus[0]}", "-s", str(memory), *pages, "-u", "--no-rpc-server",
                "--silence-noticelog", "-c", config]

    def _await(self, deadline):
        """Until somebody accepts connections: the file alone says nothing."""
        while True:
            with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
                probe.connect(self.path)
                return
            if self.child.poll() is not None or time.monotonic() > deadline:
                self.child.kill()
                self.child.wait()
                self.log.seek(0)
                tail = self.log.read().decode(errors="replace").strip().splitlines()[-12:]
                raise machine.Failed("\n  | ".join([f"{machine.shown(self.command)}: doesn't serve", *tail]))
            time.sleep(0.0005)

    def cpu_s(self):
        fields = machine.read(f"/proc/{self.child.pid}/stat").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self):
        """Resident, hugepages included; a host's memory too while one is connected."""
        status = machine.read(f"/proc/{self.child.pid}/status")
        return sum(int(kib) << 10 for kib in re.findall(r"^(?:VmRSS|HugetlbPages):\s+(\d+) kB$", status, re.M))

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.log.close()


def quoll_perf(options, path, *words):
    pages = [] if options.huge else ["--pages", "4k"]
    return [options.quoll, "nvme", "perf", f"vfio-user:{path}", *pages, *map(str, words), "--json"]


def spdk_perf(options, folder, *words):
    return [SPDK_INITIATOR, "-g", "-s", str(SPDK_INITIATOR_MIB), "-c", hex(1 << options.cpus[1]), "-o", "4096", "-w",
            options.rw, "-r", f"trtype:VFIOUSER traddr:{folder} subnqn:{NQN}", *map(str, words)]


def spdk_iops(text):
    total = re.search(r"^Total +: +([\d.]+) +[\d.]+ +([\d.]+)", text, re.M)
    if not total:
        raise parse.Misfit("no line 'Total : IOPS …'", text)
    return float(total.group(1))


def spdk_percentiles(text):
    """Of -L: {percent: nanoseconds}."""
    found = {float(percent): float(us) * 1e3 for percent, us in re.findall(r"^ *([\d.]+)% : +([\d.]+)us$", text, re.M)}
    if 50.0 not in found:
        raise parse.Misfit("no percentiles", text)
    return found


def _quoll_case(options, target, qd):
    doc = parse.document(_run(quoll_perf(options, target.path, "--rw", options.rw, "--qd", qd, "--time", options.seconds),
                              options.cpus[1])[0])
    latency = doc["latency"]
    return {"name": f"qd{qd}", "iops": doc["iops"], "p50_ns": latency["p50_ns"], "p99_ns": latency["p99_ns"],
            "p99_9_ns": latency["p99_9_ns"]}


def _spdk_case(options, folder, qd):
    """Percentiles come from a run of their own, so that counting them costs no IOPS."""
    command = spdk_perf(options, folder, "-q", qd, "-t", options.seconds)
    iops = spdk_iops(_run(command, options.cpus[1])[0])
    at = spdk_percentiles(_run([*command, "-L"], options.cpus[1])[0])
    return {"name": f"qd{qd}", "iops": iops, "p50_ns": at[50.0], "p99_ns": at[99.0], "p99_9_ns": at[99.9]}


def _fill(options, target):
    """Random data in all of the namespace, by Quoll's initiator whoever serves."""
    ios = options.size_mib * MIB // (128 << 10)
    _run(quoll_perf(options, target.path, "--rw", "write", "--size", "128k", "--qd", 32, "--ios", ios), options.cpus[1])


def _first_io(options, target, folder):
    """A process from its start to its end, with one request completed."""
    if options.initiator == "quoll":
        return _run(quoll_perf(options, target.path, "--qd", 1, "--ios", 1), options.cpus[1])[1]
    return _run(spdk_perf(options, folder, "-q", 1, "-t", 5, "-d", 1), options.cpus[1])[1]


def _idle(options, target):
    """A host that is connected, has its queues, and sends nothing: how much of a CPU the target takes meanwhile."""
    seconds = options.seconds
    host = machine.spawn(quoll_perf(options, target.path, "--qd", 1, "--ios", 2, "--pause", (seconds + 2) * 1000), options.cpus[1],
                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(1) # its first request is done, and what follows work is over
    before, begin = target.cpu_s(), time.monotonic()
    time.sleep(seconds)
    percent = (target.cpu_s() - before) / (time.monotonic() - begin) * 100
    said, _ = host.communicate(timeout=30)
    if host.returncode:
        raise machine.Failed(f"the host that should have been idle: {said.strip()}")
    return percent


def _wake(options, target):
    """Latency of requests that come one by one, @pause apart, when the target has gone to sleep."""
    doc = parse.document(_run(quoll_perf(options, target.path, "--qd", 1, "--ios", options.wakes, "--pause", 5),
                              options.cpus[1])[0])
    return {key: doc["latency"][key] for key in ("p50_ns", "p99_ns")}


def measure(options):
    """The document that benchmarks/pair prints."""
    with tempfile.TemporaryDirectory(prefix="quoll-bench.") as folder:
        target = Target(options, folder)
        try:
            doc = {"target": options.target, "initiator": options.initiator, "ns": options.ns, "rw": options.rw,
                   "size_mib": options.size_mib, "hugepages": options.huge, "doorbells": options.doorbells,
                   "target_command": machine.shown(target.command), "target_start_ms": target.start_ms,
                   "first_io_ms": _first_io(options, target, folder)}
            if options.ns == "mem":
                _fill(options, target)
            doc["cases"] = [_quoll_case(options, target, qd) if options.initiator == "quoll"
                            else _spdk_case(options, folder, qd) for qd in options.qd]
            doc["target_memory_bytes"] = target.memory_bytes()
            if options.idle:
                doc["idle_cpu_percent"] = _idle(options, target)
                doc["wake"] = _wake(options, target)
        finally:
            target.stop()
    return doc

