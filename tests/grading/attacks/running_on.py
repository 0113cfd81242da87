"""Programs that do not end by themselves."""

from __future__ import annotations

from attacks.attack import attack, in_call

RUNNING_ON = [
    attack("endless loop", "never answers", in_call("while True:\n    pass")),
    attack("endless loop at import", "never gets to define its function", "while True:\n    pass\n"),
    attack("sleep", "waits without using the processor", in_call("import time\ntime.sleep(1000)")),
    attack(
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
    attack(
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
    attack(
        "catastrophic regular expression", "computes inside C code", in_call("import re\nre.match('(a*)*b', 'a' * 99)")
    ),
    attack("huge power", "computes inside C code, without a chance for Python signals", in_call("9 ** 9 ** 9")),
    attack(
        "colliding numbers",
        "returns numbers of one hash, which take ever longer to tell apart",
        "def add(a, b):\n    return {n * ((1 << 61) - 1): a + b for n in range(30_000)}\n",
    ),
    attack(
        "huge number",
        "returns a number that the tests would compute with for long",
        "def add(a, b):\n    return 1 << 50_000_000\n",
    ),
    attack(
        "endless iterator",
        "returns an iterator that the tests could exhaust only in vain",
        """
def add(a, b):
    while True:
        yield a + b
""",
    ),
    attack(
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
