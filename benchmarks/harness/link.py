# SPDX-License-Identifier: BSD-3-Clause
"""Two forwarders on two CPUs, joined by two virtio links over vhost-user: one has the two devices, the other drives
them. Frames go round. Either may be quoll fwd or DPDK's testpmd; what one of them takes for a packet is the figure.

Who has the devices is there first and listens. The driver begins with frames in its rings: quoll fwd as soon as it
runs, testpmd when it is told to, after both ends have said that the links are up.
"""
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

from . import dpdk, machine, parse

ON_THE_WAY = 512 # frames, half of them to begin with on each link
ENTRIES = 1024
MEMORY_MIB = 128 # of a testpmd, enough for its buffers; all of it is zeroed at its start
START_S = 30
SETTLE_S = 0.2
ENDS = ("virtio-user", "vhost")
# DPDK's quickest ways, of those that take frames of one buffer: see README.md.
DPDK_DRIVER = {"split": "packed_vq=0,mrg_rxbuf=0", "packed": "packed_vq=1,mrg_rxbuf=0,vectorized=1"}


def missing(*sides):
    if "dpdk" in sides and not shutil.which("dpdk-testpmd"):
        return "dpdk: not installed"
    return None


def listens(path):
    """Without a connection, which would be a session."""
    return any(len(line) > 7 and line[7] == path and int(line[3], 16) & 0x10000
               for line in map(str.split, machine.read("/proc/net/unix", "").splitlines()[1:]))


class Forwarder:
    """A process on one CPU. What it says as it runs is in @said."""

    def __init__(self, command, cpu, folder, stdout):
        self.command, self.said = command, ""
        stderr = subprocess.STDOUT if stdout == subprocess.PIPE else subprocess.PIPE
        self.child = machine.spawn(command, cpu, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr,
                                   env={**os.environ, "RUNTIME_DIRECTORY": folder})
        self.pipe = self.child.stderr or self.child.stdout

    def await_(self, ready):
        """Until @ready(what it has said so far)."""
        deadline = time.monotonic() + START_S
        while not ready(self.said):
            if time.monotonic() > deadline:
                raise self.failed("it took too long")
            if not select.select([self.pipe], [], [], 0.01)[0]:
                continue
            chunk = os.read(self.pipe.fileno(), 65536)
            if not chunk:
                raise self.failed("it ended")
            self.said += chunk.decode(errors="replace")

    def failed(self, why):
        tail = self.said.strip().splitlines()[-12:]
        return machine.Failed("\n  | ".join([f"{machine.shown(self.command)}: {why}", *tail]))

    def wait(self):
        """Its exit, after which all that it said is in @said."""
        try:
            rest = self.child.communicate(timeout=START_S)
        except subprocess.TimeoutExpired as why:
            raise self.failed("it does not end") from why
        self.said += (rest[1] or rest[0] or b"").decode(errors="replace")
        if self.child.returncode:
            raise self.failed(f"exit status {self.child.returncode}")

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        for pipe in (self.child.stdin, self.child.stdout, self.child.stderr):
            if pipe:
                pipe.close()


class Quoll(Forwarder):
    """quoll fwd. Its document is in a file, so that nothing has to be read meanwhile."""

    def __init__(self, options, end, cpu, folder):
        suffix = {("virtio-user", "packed"): "?packed=1", ("vhost", "split"): "?packed=0"}.get((end, options.ring), "")
        words = [options.quoll, "fwd", *(f"{end}:{path}{suffix}" for path in options.paths), "--burst", str(dpdk.BURST), "--bufs",
                 str(dpdk.BUFS), "--entries", str(ENTRIES), "--frame-bytes", str(options.frame_bytes), "--cores", str(cpu), "--log", "info",
                 "--json"]
        if end == "virtio-user":
            words += ["--prime", str(ON_THE_WAY // 2)]
        self.out = tempfile.TemporaryFile()
        self.paths = options.paths
        super().__init__(words, cpu, folder, self.out)

    def linked(self):
        self.await_(lambda said: all(f"{path}: link up" in said for path in self.paths))

    def begin(self, drives):
        """It has, as soon as it ran."""

    def stop(self):
        """It forwards as long as it is there."""

    def end(self):
        self.child.send_signal(signal.SIGINT)
        self.wait()

    def figures(self):
        self.out.seek(0)
        text = self.out.read().decode()
        doc = parse.document(text)
        hz = parse.picked(doc, "tick_hz", text)
        if parse.picked(doc, "useful_ns_per_packet", text) <= 0:
            raise parse.Misfit("no packets", text)
        return {"ticks_per_packet": parse.picked(doc, "useful_ns_per_packet", text) * hz * 1e-9, "tick_hz": hz,
                "packets_per_s": parse.picked(doc, "packets_per_s", text),
                "packets_per_burst": parse.picked(doc, "packets_per_burst", text)}

    def kill(self):
        super().kill()
        self.out.close()


class Testpmd(Forwarder):
    def __init__(self, options, end, cpu, folder):
        if end == "vhost":
            vdevs = [f"net_vhost{i},iface={path},queues=1" for i, path in enumerate(options.paths)]
        else:
            vdevs = [f"net_virtio_user{i},path={path},queues=1,queue_size={ENTRIES},{DPDK_DRIVER[options.ring]}"
                     for i, path in enumerate(options.paths)]
        extra = (f"--rxd={ENTRIES}", f"--txd={ENTRIES}", "--record-core-cycles", "--no-flush-rx",
                 f"--txpkts={options.frame_bytes}")
        # Line by line, as what it says is waited for.
        super().__init__(["stdbuf", "-oL", *dpdk.testpmd((cpu, cpu), "io", vdevs, extra, MEMORY_MIB)], cpu, folder, subprocess.PIPE)
        self.has_devices = end == "vhost"
        self.await_(lambda said: "testpmd> " in said)

    def say(self, line, until):
        before = len(self.said)
        self.child.stdin.write(line.encode() + b"\n")
        self.child.stdin.flush()
        self.await_(lambda said: re.search(until, said[before:]))

    def linked(self):
        if self.has_devices:
            self.await_(lambda said: all(f"Port {i}: link state change event" in said for i in (0, 1)))

    def begin(self, drives):
        self.say(f"start tx_first {ON_THE_WAY // 2 // dpdk.BURST}" if drives else "start", "packet forwarding")

    def look(self):
        """Its rates from here, or since it was looked at before."""
        self.say("show port stats all", r"(?s)Tx-pps:.*Tx-pps:.*\n")

    def stop(self):
        self.say("stop", "Done.")

    def end(self):
        self.child.stdin.write(b"quit\n")
        self.child.stdin.flush()
        self.wait()

    def figures(self):
        return parse.testpmd_cycles(self.said)


def _forwarder(side, *rest):
    return (Testpmd if side == "dpdk" else Quoll)(*rest)


def _run(options, device, driver, measured):
    """From both being there to the end of both. Return: who knows the rate: the driver, if neither could be looked at."""
    device.linked()
    driver.linked()
    device.begin(False)
    driver.begin(True)
    looked_at = next((one for one in (measured, device, driver) if isinstance(one, Testpmd)), None)
    time.sleep(SETTLE_S)
    if looked_at:
        looked_at.look()
    time.sleep(options.seconds)
    if looked_at:
        looked_at.look()
    # The driver goes first: testpmd's does not survive devices that are gone.
    measured.stop()
    driver.end()
    device.end()
    return looked_at or driver


def measure(options):
    """The document that benchmarks/link prints."""
    with tempfile.TemporaryDirectory(prefix="quoll-bench.") as folder:
        options.paths = [os.path.join(folder, name) for name in ("a", "b")]
        measures_device = options.end == "vhost"
        sides = (options.measured, options.peer) if measures_device else (options.peer, options.measured)
        cpus = options.cpus[::-1] if measures_device else options.cpus
        started = []
        try:
            started.append(_forwarder(sides[0], options, "vhost", cpus[0], folder))
            device = started[0]
            if isinstance(device, Quoll):
                device.await_(lambda _said: all(map(listens, options.paths)))
            started.append(_forwarder(sides[1], options, "virtio-user", cpus[1], folder))
            driver = started[1]
            measured = device if measures_device else driver
            rate = _run(options, device, driver, measured).figures()["packets_per_s"]
            return {"end": options.end, "measured": options.measured, "peer": options.peer, "ring": options.ring,
                    "frame_bytes": options.frame_bytes, **measured.figures(), "packets_per_s": rate,
                    "device_command": machine.shown(device.command), "driver_command": machine.shown(driver.command)}
        finally:
            for one in started:
                one.kill()
