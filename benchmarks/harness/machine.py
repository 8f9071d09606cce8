# SPDX-License-Identifier: BSD-3-Clause
"""The machine: which cores, how processes are run, and what is recorded of all that a figure depends on."""
import ctypes
import glob
import os
import platform
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
AUTOGROUP_NICE = -10
PROMPT = b"testpmd> "
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A program that did not end well."""


def read(path, default=None):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read().strip()
    except OSError:
        return default


# Cores

def physical_core(cpu):
    topology = f"/sys/devices/system/cpu/cpu{cpu}/topology/"
    return read(topology + "physical_package_id"), read(topology + "core_id", str(cpu))


def choose_cpus():
    """Up to two CPUs that we may use, of different physical cores: (main, worker). Not CPU 0 if there is a choice."""
    allowed = sorted(os.sched_getaffinity(0))
    distinct = {}
    for cpu in allowed:
        distinct.setdefault(physical_core(cpu), cpu)
    cpus = sorted(distinct.values())
    return cpus[-2:] if len(cpus) > 1 else cpus


# Processes

def prefer(pid):
    """More of the CPU than other sessions get, where the kernel shares by session; never real time: that starves."""
    try:
        with open(f"/proc/{pid}/autogroup", "w", encoding="ascii") as f:
            f.write(str(AUTOGROUP_NICE))
    except OSError:
        pass # recorded in environment()


def _child(cpu):
    """What a process of ours is before it becomes the program: on its CPU, and ended with us."""

    def prepare():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.sched_setaffinity(0, {cpu})

    return prepare


def spawn(command, cpu, **options):
    """In a session, and so an autogroup, of its own: each CPU's share is one program's."""
    child = subprocess.Popen(command, **{"stdin": subprocess.DEVNULL, **options}, start_new_session=True, preexec_fn=_child(cpu))
    prefer(child.pid)
    return child


def autogroup_nice():
    """What a process of ours gets; None: the kernel does not group, or we may not."""
    child = subprocess.Popen(["sleep", "5"], start_new_session=True)
    try:
        prefer(child.pid)
        nice = re.search(r"nice (-?\d+)$", read(f"/proc/{child.pid}/autogroup", ""))
        return int(nice.group(1)) if nice else None
    finally:
        child.kill()
        child.wait()


def _talk(child, script, deadline):
    """Feed stdin line by line: script is [(line, seconds to wait after it)]; the first goes when a prompt has come."""
    out = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        pending, due = list(script), None if script else 0
        while True:
            now = time.monotonic()
            if now > deadline:
                raise Failed("it took too long")
            if pending and due is not None and now >= due:
                line, pause = pending.pop(0)
                child.stdin.write(line.encode() + b"\n")
                child.stdin.flush()
                due = time.monotonic() + pause
                if not pending:
                    child.stdin.close()
            wait = max(0.0, due - now) if pending and due is not None else 1.0
            if not selector.select(min(wait, 1.0)):
                continue
            chunk = os.read(child.stdout.fileno(), 65536)
            if not chunk:
                return out.decode(errors="replace")
            out += chunk
            if due is None and PROMPT in out:
                due = time.monotonic()


def run(command, script=(), timeout_s=300):
    """(what it printed, seconds it took) of a program that must exit with 0."""
    with tempfile.TemporaryDirectory(prefix="quoll-bench.") as runtime, tempfile.TemporaryFile() as errors:
        # DPDK leaves a folder behind each process; it shall be this one.
        environment = {**os.environ, "RUNTIME_DIRECTORY": runtime}
        begin = time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.PIPE if script else subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=errors, env=environment, cwd=TOP, start_new_session=True)
        try:
            prefer(child.pid)
            out = _talk(child, script, begin + timeout_s)
            status = child.wait(timeout=timeout_s)
        except (Failed, subprocess.TimeoutExpired, BrokenPipeError) as why:
            raise Failed(f"{shlex.join(command)}: {why}") from why
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            child.stdout.close()
        seconds = time.monotonic() - begin
        if status:
            errors.seek(0)
            tail = (out + errors.read().decode(errors="replace")).strip().splitlines()[-12:]
            raise Failed("\n  | ".join([f"{shlex.join(command)}: exit status {status}"] + tail))
        return out, seconds


def shown(command, script=()):
    """The command line as one would type it."""
    text = shlex.join(os.path.relpath(word, TOP) if word.startswith(TOP + "/") else word for word in command)
    if not script:
        return text
    steps = [f"echo {shlex.quote(line)}" + (f"; sleep {pause}" if pause else "") for line, pause in script]
    return f"({'; '.join(steps)}) | {text}"


# What is recorded

def _version(*command):
    """The first line of what a program says of its version, None if it is not there."""
    if not shutil.which(command[0]):
        return None
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    text = (said.stdout or said.stderr).strip()
    return text.splitlines()[0] if text else None


def dpdk_version():
    if not shutil.which("dpdk-testpmd"):
        return None
    command = ["dpdk-testpmd", "--no-huge", "--no-pci", "--no-shconf", "-m", "64", "-v", "--", "--help"]
    with tempfile.TemporaryDirectory(prefix="quoll-bench.") as runtime:
        said = subprocess.run(command, capture_output=True, text=True, check=False,
                              env={**os.environ, "RUNTIME_DIRECTORY": runtime})
    version = re.search(r"RTE Version: '([^']*)'", said.stdout + said.stderr)
    return version.group(1) if version else "installed, version unknown"


def free_hugepages():
    """{bytes of a page: free ones}"""
    pages = {}
    for folder in glob.glob("/sys/kernel/mm/hugepages/hugepages-*kB"):
        pages[int(re.search(r"(\d+)kB$", folder).group(1)) * 1024] = int(read(folder + "/free_hugepages", "0"))
    return pages


def environment(cpus):
    """All that a figure depends on and that can be read."""
    cpuinfo = read("/proc/cpuinfo", "")
    model = re.search(r"^model name\s*: (.*)$", cpuinfo, re.M)
    memory = re.search(r"MemTotal: +(\d+) kB", read("/proc/meminfo", ""))
    virtual = read("/sys/hypervisor/type") or ("yes" if " hypervisor" in cpuinfo else "no")
    names = glob.glob("/sys/devices/system/cpu/vulnerabilities/*")
    return {
        "cpu": model.group(1) if model else platform.machine(),
        "nr_cpus": os.cpu_count(),
        "cpus_used": cpus,
        "virtual_machine": virtual,
        "governor": read(f"/sys/devices/system/cpu/cpu{cpus[-1]}/cpufreq/scaling_governor"),
        "memory_bytes": int(memory.group(1)) * 1024 if memory else None,
        "free_hugepages": {str(size): nr for size, nr in sorted(free_hugepages().items())},
        "kernel": " ".join(platform.uname()[i] for i in (0, 2, 3)),
        "kernel_command_line": read("/proc/cmdline"),
        "mitigations": {os.path.basename(name): read(name) for name in sorted(names)},
        "load_average_1_min": os.getloadavg()[0],
        "autogroup_nice": autogroup_nice(),
        "versions": {
            "quoll": _version("git", "-C", TOP, "describe", "--always", "--dirty", "--tags"),
            "compiler": _version("cc", "--version"),
            "libc": " ".join(platform.libc_ver()),
            "dpdk": dpdk_version(),
            "fio": _version("fio", "--version"),
            "qemu": _version("qemu-system-x86_64", "--version"),
            "gnuplot": _version("gnuplot", "--version"),
        },
    }
