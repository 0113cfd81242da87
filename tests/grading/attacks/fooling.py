"""Programs that want to pass without being right."""

from __future__ import annotations

from attacks.attack import attack, in_call

FOOLING = [
    attack("exit with success", "calls sys.exit(0) when it is called", in_call("import sys\nsys.exit(0)")),
    attack("exit with success at import", "calls sys.exit(0) before any test", "import sys\nsys.exit(0)\n"),
    attack("hard exit with success", "calls os._exit(0)", in_call("import os\nos._exit(0)")),
    attack(
        "exit through the C library", "calls exit(0) with ctypes", in_call("import ctypes\nctypes.CDLL(None).exit(0)")
    ),
    attack(
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
    attack(
        "exit in an exit handler",
        "turns the exit status into success",
        """
import atexit, os
atexit.register(os._exit, 0)
def add(a, b):
    raise SystemExit(1)
""",
    ),
    attack("crash", "ends with a segmentation fault", in_call("import ctypes\nctypes.string_at(0)")),
    attack(
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
    attack(
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
    attack(
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
    attack(
        "patched equality",
        "overwrites the slot of int's == in memory",
        """
import ctypes
def add(a, b):
    ctypes.memset(id(int) + 200, 0, 8)
    return None
""",
    ),
    attack(
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
    attack(
        "forged lines",
        "prints what a checker might look for",
        in_call("""
import sys
for stream in (sys.stdout, sys.stderr):
    print('passed', 'OK', '{"passed": true}', 'Ran 1 test', sep='\\n', file=stream, flush=True)
"""),
    ),
    attack(
        "forged result file",
        "writes verdicts where a checker might read them",
        in_call("""
for name in ('result', 'result.json', 'passed', 'verdict', 'stdout'):
    open(name, 'w').write('{"passed": true}')
"""),
    ),
    attack(
        "forged replies",
        "writes a verdict to every descriptor it has",
        in_call("""
import os
for fd in range(1, 64):
    try:
        os.write(fd, b'\\x08\\x00\\x00\\x00passed\\x00\\x00')
    except OSError:
        pass
"""),
    ),
    attack(
        "endless reply",
        "announces a message of 4 GB and sends it",
        in_call("""
import os
os.write(4, b'\\xff\\xff\\xff\\xff')
while True:
    os.write(4, bytes(1 << 16))
"""),
    ),
    attack("huge reply", "returns 100 million numbers", "def add(a, b):\n    return bytes(100_000_000)\n"),
    attack(
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
    attack(
        "endless list",
        "returns a list that contains itself",
        "def add(a, b):\n    loop = []\n    loop.append(loop)\n    return loop\n",
    ),
    attack(
        "amplified reply",
        "sends few bytes that decode to much",
        "def add(a, b):\n    return [set() for _ in range(1_500_000)]\n",
    ),
    attack(
        "wrong replies",
        "speaks the protocol, but nonsense",
        in_call("""
import os, struct
body = b't' + struct.pack('<I', 3) + b's' + struct.pack('<I', 5) + b'value' + b'h' + struct.pack('<q', 10 ** 9) + b'T'
os.write(4, struct.pack('<I', len(body)) + body)
"""),
    ),
    attack(
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
    attack(
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
    attack(
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
    attack(
        "a line for the terminal",
        "raises an error that clears the screen and reads like a result",
        "def add(a, b):\n    raise ValueError('\\x1b[2J\\x1b[H\\u202e\\naccuracy 100.00 %')\n",
    ),
    attack(
        "half a character",
        "raises an error whose text no file in UTF-8 can hold",
        "def add(a, b):\n    raise ValueError('\\ud800 ' + 'x' * 10 ** 6)\n",
    ),
    attack(
        "raise what tests expect",
        "raises StopIteration out of the call",
        "def add(a, b):\n    raise StopIteration(a + b)\n",
    ),
    attack(
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
