"""Programs that use up memory, disk, threads, descriptors or the reader of their output."""

from __future__ import annotations

from attacks.attack import WRONG, attack, if_it_works, in_call

MACHINE = [
    attack("ten gigabytes of memory", "allocates and touches it", if_it_works("block = bytearray(10 << 30)")),
    attack(
        "ten gigabytes mapped", "maps memory past the allocator", if_it_works("import mmap\nmmap.mmap(-1, 10 << 30)")
    ),
    attack(
        "memory in small pieces",
        "grows a list until it breaks",
        in_call("pieces = []\nwhile True:\n    pieces.append(bytes(1 << 20))"),
    ),
    attack(
        "ten gigabyte file",
        "fills the disk through one file",
        if_it_works("with open('big', 'wb') as f:\n    for _ in range(10 << 10):\n        f.write(bytes(1 << 20))"),
    ),
    attack(
        "sparse ten gigabyte file",
        "claims the size without writing",
        if_it_works("with open('big', 'wb') as f:\n    f.truncate(10 << 30)"),
    ),
    attack(
        "many files",
        "fills the disk through many small files",
        if_it_works("for n in range(10 ** 6):\n    open(f'file{n}', 'wb').write(bytes(4096))"),
    ),
    attack(
        "many folders",
        "makes fifty thousand folders, each with one inside",
        if_it_works("import os\nfor n in range(50_000):\n    os.makedirs(f'{n}/{n}')"),
    ),
    attack(
        "deep folders",
        "nests folders deeper than a recursive removal can follow",
        "import os\nfor _ in range(2000):\n    os.mkdir('d')\n    os.chdir('d')\n" + WRONG,
    ),
    attack(
        "deep recursion",
        "recurses with the limit lifted",
        "import sys\nsys.setrecursionlimit(10 ** 9)\ndef add(a, b):\n    return add(a, b)\n",
    ),
    attack(
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
    attack(
        "thread bomb",
        "starts threads until it is stopped",
        if_it_works("""
import threading, time
for _ in range(5000):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
"""),
    ),
    attack(
        "many descriptors",
        "opens a file a thousand times",
        if_it_works("import os\nfor _ in range(1000):\n    os.open('/dev/null', os.O_RDONLY)"),
    ),
    attack("endless output", "prints for ever", in_call("while True:\n    print('x' * 10 ** 6)")),
    attack(
        "very long line",
        "prints one line of 200 MB",
        in_call("import sys\nfor _ in range(200):\n    sys.stdout.write('x' * 10 ** 6)"),
    ),
    attack(
        "output that is not UTF-8",
        "writes broken bytes to both streams",
        in_call("import os\nos.write(1, b'\\xff\\xfe\\x00' * 1000)\nos.write(2, b'\\xc3' * 1000)"),
    ),
    attack(
        "lone surrogates",
        "raises a message that is not valid text",
        "def add(a, b):\n    raise ValueError('\\ud800' * 10)\n",
    ),
]
