"""Programs that try to pass without being right, to run on, or to do harm: what the sandbox must stand.

Each stands for a family of accidents and tricks that checkers of generated programs have met. They attack the
task `add(a, b)` under `TESTS`. Where success shows from inside (a file could be read, a process started), the
program answers rightly if, and only if, the attack succeeded: then "passed" means a hole. Where it shows from
outside, `add` is wrong and the side effect is there to be looked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from .check import ProgramCheck

ENTRY_POINT = "add"
TESTS = "assert add(2, 3) == 5\nassert add(-4, 4) == 0\nassert add(10, 20) == 30\n"


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What an attack is aimed at. Everything is expendable."""

    secret_file: str
    """A file outside the sandbox that its user can read."""
    target_folder: str
    """A folder outside the sandbox that its user can write."""
    port: int
    """A TCP port of this machine that accepts connections."""
    home: str
    """A home folder."""
    process: int
    """A process of the same user that must survive."""


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One program and what it tries."""

    name: str
    tries: str
    """In words, for the table."""
    program: str
    """May mention {secret_file}, {target_folder}, {port}, {home} and {process}."""

    def check(self, surroundings: Surroundings) -> ProgramCheck:
        """The attack, aimed."""
        program = self.program
        for name, value in vars(surroundings).items():
            program = program.replace("{" + name + "}", str(value))
        return ProgramCheck(program=program, tests=TESTS, entry_point=ENTRY_POINT)


_WRONG = "def add(a, b):\n    return None\n"
_RIGHT = "def add(a, b):\n    return a + b\n"


def _attack(name: str, tries: str, program: str) -> Attack:
    return Attack(name=name, tries=tries, program=program.lstrip("\n"))


def _in_call(statements: str) -> str:
    """A program whose wrong function does something when it is called."""
    body = "".join(f"    {line}\n" for line in statements.strip("\n").split("\n"))
    return f"def add(a, b):\n{body}    return None\n"


def _if_it_works(statements: str) -> str:
    """A program that is right only when the statements raise nothing."""
    return statements.strip("\n") + "\n" + _RIGHT


TIME = [
    _attack("endless loop", "never answers", _in_call("while True:\n    pass")),
    _attack("endless loop at import", "never gets to define its function", "while True:\n    pass\n"),
    _attack("sleep", "waits without using the processor", _in_call("import time\ntime.sleep(1000)")),
    _attack(
        "endless loop that swallows everything",
        "catches every exception and ignores every signal it can",
        """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
def add(a, b):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
""",
    ),
    _attack(
        "busy threads",
        "keeps four threads busy and never answers",
        """
import threading
def spin():
    while True:
        pass
def add(a, b):
    threads = [threading.Thread(target=spin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
""",
    ),
    _attack(
        "catastrophic regular expression", "computes inside C code", _in_call("import re\nre.match('(a*)*b', 'a' * 99)")
    ),
    _attack("huge power", "computes inside C code, without a chance for Python signals", _in_call("9 ** 9 ** 9")),
    _attack(
        "endless iterator",
        "returns an iterator that the tests could exhaust only in vain",
        """
def add(a, b):
    while True:
        yield a + b
""",
    ),
    _attack(
        "slow death",
        "goes on in an exit handler",
        """
import atexit, sys
@atexit.register
def linger():
    while True:
        pass
def add(a, b):
    sys.exit(0)
""",
    ),
]

MACHINE = [
    _attack("ten gigabytes of memory", "allocates and touches it", _if_it_works("block = bytearray(10 << 30)")),
    _attack(
        "ten gigabytes mapped", "maps memory past the allocator", _if_it_works("import mmap\nmmap.mmap(-1, 10 << 30)")
    ),
    _attack(
        "memory in small pieces",
        "grows a list until it breaks",
        _in_call("pieces = []\nwhile True:\n    pieces.append(bytes(1 << 20))"),
    ),
    _attack(
        "ten gigabyte file",
        "fills the disk through one file",
        _if_it_works("with open('big', 'wb') as f:\n    for _ in range(10 << 10):\n        f.write(bytes(1 << 20))"),
    ),
    _attack(
        "sparse ten gigabyte file",
        "claims the size without writing",
        _if_it_works("with open('big', 'wb') as f:\n    f.truncate(10 << 30)"),
    ),
    _attack(
        "many files",
        "fills the disk through many small files",
        _if_it_works("for n in range(10 ** 6):\n    open(f'file{n}', 'wb').write(bytes(4096))"),
    ),
    _attack(
        "deep folders",
        "nests folders deeper than a recursive removal can follow",
        "import os\nfor _ in range(2000):\n    os.mkdir('d')\n    os.chdir('d')\n" + _WRONG,
    ),
    _attack(
        "deep recursion",
        "recurses with the limit lifted",
        "import sys\nsys.setrecursionlimit(10 ** 9)\ndef add(a, b):\n    return add(a, b)\n",
    ),
    _attack(
        "deep recursion in C",
        "overflows the C stack of its interpreter",
        """
import sys
sys.setrecursionlimit(10 ** 9)
def add(a, b):
    nested = []
    for _ in range(10 ** 6):
        nested = [nested]
    return repr(nested)
""",
    ),
    _attack(
        "thread bomb",
        "starts threads until it is stopped",
        _if_it_works("""
import threading, time
for _ in range(5000):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
"""),
    ),
    _attack(
        "many descriptors",
        "opens a file a thousand times",
        _if_it_works("import os\nfor _ in range(1000):\n    os.open('/dev/null', os.O_RDONLY)"),
    ),
    _attack("endless output", "prints for ever", _in_call("while True:\n    print('x' * 10 ** 6)")),
    _attack(
        "very long line",
        "prints one line of 200 MB",
        _in_call("import sys\nfor _ in range(200):\n    sys.stdout.write('x' * 10 ** 6)"),
    ),
    _attack(
        "output that is not UTF-8",
        "writes broken bytes to both streams",
        _in_call("import os\nos.write(1, b'\\xff\\xfe\\x00' * 1000)\nos.write(2, b'\\xc3' * 1000)"),
    ),
    _attack(
        "lone surrogates",
        "raises a message that is not valid text",
        "def add(a, b):\n    raise ValueError('\\ud800' * 10)\n",
    ),
]

PROCESSES = [
    _attack("fork", "starts a process", _if_it_works("import os\nif os.fork() == 0:\n    os._exit(0)")),
    _attack(
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
    _attack(
        "fork through the C library",
        "goes around Python's os module",
        _if_it_works("""
import ctypes
if ctypes.CDLL(None).fork() < 0:
    raise OSError
"""),
    ),
    _attack(
        "system call by number",
        "forks with syscall(2)",
        _if_it_works("""
import ctypes, platform
number = 57 if platform.machine() == 'x86_64' else 220
if ctypes.CDLL(None).syscall(number, 17, 0, 0, 0, 0) < 0:
    raise OSError
"""),
    ),
    _attack(
        "subprocess",
        "runs another program",
        _if_it_works("import subprocess\nsubprocess.run(['/bin/true'], check=True)"),
    ),
    _attack(
        "exec",
        "replaces its interpreter by a fresh one",
        _if_it_works("""
import os, sys
os.execv(sys.executable, [sys.executable, '-c', ''])
"""),
    ),
    _attack(
        "zombie children",
        "leaves children behind that nobody waits for",
        _if_it_works("""
import os
for _ in range(20):
    if os.fork() == 0:
        os._exit(0)
"""),
    ),
    _attack(
        "multiprocessing",
        "starts a pool of processes",
        _if_it_works("import multiprocessing\nmultiprocessing.Pool(2).close()"),
    ),
    _attack(
        "daemon",
        "leaves its session and group to outlive the check",
        _if_it_works("""
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            pass
"""),
    ),
    _attack(
        "kill the judge",
        "kills its parent",
        _if_it_works("import os, signal\nos.kill(os.getppid() or -1, signal.SIGKILL)"),
    ),
    _attack(
        "kill the group",
        "kills every process of its group",
        _if_it_works("import os, signal\nos.killpg(os.getpgid(0), signal.SIGTERM)"),
    ),
    _attack(
        "kill everyone", "kills every process it may", _if_it_works("import os, signal\nos.kill(-1, signal.SIGKILL)")
    ),
    _attack(
        "kill a process of the user",
        "kills a process outside the sandbox",
        _if_it_works("import os, signal\nos.kill({process}, signal.SIGKILL)"),
    ),
    _attack(
        "kill by owning a pipe",
        "has the kernel send the signal",
        _if_it_works("""
import fcntl, os, signal
read, write = os.pipe()
fcntl.fcntl(read, fcntl.F_SETOWN, {process})
"""),
    ),
    _attack(
        "trace a process",
        "attaches to a process outside the sandbox",
        _if_it_works("""
import ctypes
if ctypes.CDLL(None).ptrace(16, {process}, 0, 0) < 0:
    raise OSError
"""),
    ),
    _attack(
        "lift the limits",
        "raises its own limit on memory",
        _if_it_works("import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))"),
    ),
    _attack(
        "limits of others",
        "lowers the limits of a process outside",
        _if_it_works("import resource\nresource.prlimit({process}, resource.RLIMIT_CPU, (1, 1))"),
    ),
]

FILES = [
    _attack(
        "write outside",
        "writes a file where its user could",
        _if_it_works("open('{target_folder}/written', 'w').write('x')"),
    ),
    _attack(
        "write to the temporary folder",
        "writes a file into /tmp",
        _if_it_works("open('/tmp/flexeval-attack', 'w').write('x')"),
    ),
    _attack(
        "climb out of the scratch folder", "writes through ..", _if_it_works("open('../../written', 'w').write('x')")
    ),
    _attack(
        "change the interpreter",
        "writes into the standard library",
        _if_it_works("import os\nopen(os.path.dirname(os.__file__) + '/attack.py', 'w').write('x')"),
    ),
    _attack(
        "remove a file", "deletes a file that its user owns", _if_it_works("import os\nos.unlink('{secret_file}')")
    ),
    _attack(
        "change modes", "makes a file of its user unreadable", _if_it_works("import os\nos.chmod('{secret_file}', 0)")
    ),
    _attack(
        "link out",
        "reaches a file through a link in the scratch folder",
        _if_it_works("import os\nos.symlink('{secret_file}', 'link')\nopen('link').read()"),
    ),
    _attack("read a secret", "reads a file that its user can read", _if_it_works("open('{secret_file}').read()")),
    _attack(
        "read the home",
        "lists the home folder",
        _if_it_works("import os\nos.listdir('{home}')"),
    ),
    _attack("read the system", "reads the list of users", _if_it_works("open('/etc/passwd').read()")),
    _attack(
        "read the environment", "looks for tokens", _if_it_works("import os\nif not os.environ:\n    raise KeyError")
    ),
    _attack(
        "read the environment of others",
        "reads it from /proc",
        _if_it_works("open('/proc/{process}/environ', 'rb').read()"),
    ),
    _attack(
        "read the judge's memory",
        "opens the memory of its parent",
        _if_it_works("import os\nopen(f'/proc/{os.getppid()}/mem', 'rb').read(1)"),
    ),
    _attack(
        "look at descriptors",
        "looks for open files beyond its pipes",
        _if_it_works("""
import os
found = 0
for fd in range(5, 1024):
    try:
        os.fstat(fd)
        found += 1
    except OSError:
        pass
if not found:
    raise OSError
"""),
    ),
    _attack(
        "installed packages",
        "imports a package, which could hold the answers",
        _if_it_works("""
import os, sys
sys.path += [p + '/' + n for p in sys.path for n in ('site-packages', 'dist-packages')]
import pip
"""),
    ),
    _attack(
        "mount",
        "mounts a file system",
        _if_it_works("""
import ctypes
if ctypes.CDLL(None).mount(b'none', b'.', b'tmpfs', 0, None) < 0:
    raise OSError
"""),
    ),
    _attack(
        "leave the root",
        "nests a chroot to climb out of its own",
        _if_it_works("import os\nos.mkdir('r')\nos.chroot('r')"),
    ),
]

NETWORK = [
    _attack(
        "connect",
        "connects to a port of this machine",
        _if_it_works("import socket\nsocket.create_connection(('127.0.0.1', {port}), 2).close()"),
    ),
    _attack("listen", "opens a port", _if_it_works("import socket\nsocket.create_server(('127.0.0.1', 0)).close()")),
    _attack(
        "datagram",
        "sends one",
        _if_it_works(
            "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))"
        ),
    ),
    _attack(
        "resolve a name",
        "asks for an address",
        _if_it_works("import urllib.request\nurllib.request.urlopen('http://localhost:{port}', timeout=2)"),
    ),
    _attack(
        "local socket", "makes a Unix socket", _if_it_works("import socket\nsocket.socket(socket.AF_UNIX).close()")
    ),
]

VERDICT = [
    _attack("exit with success", "calls sys.exit(0) when it is called", _in_call("import sys\nsys.exit(0)")),
    _attack("exit with success at import", "calls sys.exit(0) before any test", "import sys\nsys.exit(0)\n"),
    _attack("hard exit with success", "calls os._exit(0)", _in_call("import os\nos._exit(0)")),
    _attack(
        "exit through the C library", "calls exit(0) with ctypes", _in_call("import ctypes\nctypes.CDLL(None).exit(0)")
    ),
    _attack(
        "exit in a destructor",
        "ends the process when its result is let go",
        """
import os
class Trap:
    def __del__(self):
        os._exit(0)
def add(a, b):
    return Trap() and None
""",
    ),
    _attack(
        "exit in an exit handler",
        "turns the exit status into success",
        """
import atexit, os
atexit.register(os._exit, 0)
def add(a, b):
    raise SystemExit(1)
""",
    ),
    _attack("crash", "ends with a segmentation fault", _in_call("import ctypes\nctypes.string_at(0)")),
    _attack(
        "catch everything around the tests",
        "wraps its caller's frames in a trace function that hides failures",
        """
import sys
def hide(frame, event, argument):
    try:
        frame.f_trace_lines = False
    except BaseException:
        pass
    return hide
sys.settrace(hide)
def add(a, b):
    try:
        raise AssertionError
    except BaseException:
        return None
""",
    ),
    _attack(
        "equal to everything",
        "returns an object whose == is always true",
        """
class Same:
    def __eq__(self, other):
        return True
    def __hash__(self):
        return 0
def add(a, b):
    return Same()
""",
    ),
    _attack(
        "integer equal to everything",
        "the same, as a subclass of int",
        """
class Same(int):
    def __eq__(self, other):
        return True
    __hash__ = int.__hash__
def add(a, b):
    return Same(0)
""",
    ),
    _attack(
        "patched equality",
        "overwrites the slot of int's == in memory",
        """
import ctypes
def add(a, b):
    ctypes.memset(id(int) + 200, 0, 8)
    return None
""",
    ),
    _attack(
        "patched builtins",
        "replaces what tests are made of",
        """
import builtins, math, unittest
builtins.AssertionError = type('AssertionError', (BaseException,), {})
builtins.abs = builtins.round = lambda *a: 0
builtins.all = builtins.any = builtins.isinstance = lambda *a: True
math.isclose = lambda *a, **k: True
unittest.TestCase.assertEqual = lambda *a: None
def add(a, b):
    return None
""",
    ),
    _attack(
        "forged lines",
        "prints what a checker might look for",
        _in_call("""
import sys
for stream in (sys.stdout, sys.stderr):
    print('passed', 'OK', '{"passed": true}', 'Ran 1 test', sep='\\n', file=stream, flush=True)
"""),
    ),
    _attack(
        "forged result file",
        "writes verdicts where a checker might read them",
        _in_call("""
for name in ('result', 'result.json', 'passed', 'verdict', 'stdout'):
    open(name, 'w').write('{"passed": true}')
"""),
    ),
    _attack(
        "forged replies",
        "writes a verdict to every descriptor it has",
        _in_call("""
import os
for fd in range(1, 64):
    try:
        os.write(fd, b'\\x08\\x00\\x00\\x00passed\\x00\\x00')
    except OSError:
        pass
"""),
    ),
    _attack(
        "endless reply",
        "announces a message of 4 GB and sends it",
        _in_call("""
import os
os.write(4, b'\\xff\\xff\\xff\\xff')
while True:
    os.write(4, bytes(1 << 16))
"""),
    ),
    _attack("huge reply", "returns 100 million numbers", "def add(a, b):\n    return bytes(100_000_000)\n"),
    _attack(
        "deep reply",
        "returns a list nested a million times",
        """
def add(a, b):
    nested = []
    for _ in range(10 ** 6):
        nested = [nested]
    return nested
""",
    ),
    _attack(
        "endless list",
        "returns a list that contains itself",
        "def add(a, b):\n    loop = []\n    loop.append(loop)\n    return loop\n",
    ),
    _attack(
        "amplified reply",
        "sends few bytes that decode to much",
        "def add(a, b):\n    return [set() for _ in range(1_500_000)]\n",
    ),
    _attack(
        "wrong replies",
        "speaks the protocol, but nonsense",
        _in_call("""
import os, struct
body = b't' + struct.pack('<I', 3) + b's' + struct.pack('<I', 5) + b'value' + b'h' + struct.pack('<q', 10 ** 9) + b'T'
os.write(4, struct.pack('<I', len(body)) + body)
"""),
    ),
    _attack(
        "read the tests in frames",
        "searches every caller's variables for the expected values",
        """
import sys
def add(a, b):
    frame = sys._getframe()
    while frame is not None:
        for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
            if 'assert add' in str(value) and 'frame' not in str(value):
                return a + b
        frame = frame.f_back
""",
    ),
    _attack(
        "read the tests in memory",
        "searches every object of the interpreter for the tests",
        """
import gc
needle = 'assert ' + 'add('
def add(a, b):
    for thing in gc.get_objects():
        if isinstance(thing, (dict, list, tuple)):
            values = thing.values() if isinstance(thing, dict) else thing
            for value in list(values):
                if isinstance(value, str) and needle in value and value != needle:
                    return a + b
""",
    ),
    _attack(
        "read the tests on disk",
        "searches the files it can see for the tests",
        """
import os
needle = 'assert ' + 'add('
def add(a, b):
    for folder in ('.', '..', '/tmp', '/scratch'):
        try:
            for name in os.listdir(folder):
                if needle in open(os.path.join(folder, name), errors='ignore').read():
                    return a + b
        except OSError:
            pass
""",
    ),
    _attack(
        "raise what tests expect",
        "raises StopIteration out of the call",
        "def add(a, b):\n    raise StopIteration(a + b)\n",
    ),
    _attack(
        "signal itself",
        "arms an alarm whose handler ends the process with success",
        """
import os, signal
signal.signal(signal.SIGALRM, lambda *a: os._exit(0))
signal.setitimer(signal.ITIMER_REAL, 0.01)
def add(a, b):
    while True:
        pass
""",
    ),
]

ATTACKS: dict[str, list[Attack]] = {
    "fooling the tests": VERDICT,
    "running on": TIME,
    "using up the machine": MACHINE,
    "other processes": PROCESSES,
    "files": FILES,
    "network": NETWORK,
}
"""All attacks, by what they are after."""
