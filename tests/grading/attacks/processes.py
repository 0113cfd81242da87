"""Programs that start processes, or reach for those of others."""

from __future__ import annotations

from attacks.attack import attack, if_it_works

PROCESSES = [
    attack("fork", "starts a process", if_it_works("import os\nif os.fork() == 0:\n    os._exit(0)")),
    attack(
        "fork bomb",
        "starts processes that start processes, 64 at most",
        """
import os
for _ in range(6):
    try:
        os.fork()
    except OSError:
        pass
def add(a, b):
    return None
""",
    ),
    attack(
        "fork through the C library",
        "goes around Python's os module",
        if_it_works("""
import ctypes
if ctypes.CDLL(None).fork() < 0:
    raise OSError
"""),
    ),
    attack(
        "system call by number",
        "forks with syscall(2)",
        if_it_works("""
import ctypes, platform
number = 57 if platform.machine() == 'x86_64' else 220
if ctypes.CDLL(None).syscall(number, 17, 0, 0, 0, 0) < 0:
    raise OSError
"""),
    ),
    attack(
        "subprocess",
        "runs another program",
        if_it_works("import subprocess\nsubprocess.run(['/bin/true'], check=True)"),
    ),
    attack(
        "exec",
        "replaces its interpreter by a fresh one",
        if_it_works("""
import os, sys
os.execv(sys.executable, [sys.executable, '-c', ''])
"""),
    ),
    attack(
        "zombie children",
        "leaves children behind that nobody waits for",
        if_it_works("""
import os
for _ in range(20):
    if os.fork() == 0:
        os._exit(0)
"""),
    ),
    attack(
        "multiprocessing",
        "starts a pool of processes",
        if_it_works("import multiprocessing\nmultiprocessing.Pool(2).close()"),
    ),
    attack(
        "daemon",
        "leaves its session and group to outlive the check",
        if_it_works("""
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            pass
"""),
    ),
    attack(
        "kill the judge",
        "kills its parent",
        if_it_works("import os, signal\nos.kill(os.getppid() or -1, signal.SIGKILL)"),
    ),
    attack(
        "kill the group",
        "kills every process of its group",
        if_it_works("import os, signal\nos.killpg(os.getpgid(0), signal.SIGTERM)"),
    ),
    attack(
        "kill everyone", "kills every process it may", if_it_works("import os, signal\nos.kill(-1, signal.SIGKILL)")
    ),
    attack(
        "kill a process of the user",
        "kills a process outside the sandbox",
        if_it_works("import os, signal\nos.kill({process}, signal.SIGKILL)"),
    ),
    attack(
        "kill by owning a pipe",
        "has the kernel send the signal",
        if_it_works("""
import fcntl, os, signal
read, write = os.pipe()
fcntl.fcntl(read, fcntl.F_SETOWN, {process})
"""),
    ),
    attack(
        "trace a process",
        "attaches to a process outside the sandbox",
        if_it_works("""
import ctypes
if ctypes.CDLL(None).ptrace(16, {process}, 0, 0) < 0:
    raise OSError
"""),
    ),
    attack(
        "lift the limits",
        "raises its own limit on memory",
        if_it_works("import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))"),
    ),
    attack(
        "limits of others",
        "lowers the limits of a process outside",
        if_it_works("import resource\nresource.prlimit({process}, resource.RLIMIT_CPU, (1, 1))"),
    ),
]
