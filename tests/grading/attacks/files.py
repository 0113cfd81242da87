"""Programs that read or change what is not theirs."""

from __future__ import annotations

from attacks.attack import attack, if_it_works

FILES = [
    attack(
        "write outside",
        "writes a file where its user could",
        if_it_works("open('{target_folder}/written', 'w').write('x')"),
    ),
    attack(
        "write to the temporary folder",
        "writes a file into /tmp",
        if_it_works("open('/tmp/flexeval-attack', 'w').write('x')"),
    ),
    attack(
        "climb out of the scratch folder", "writes through ..", if_it_works("open('../../written', 'w').write('x')")
    ),
    attack(
        "change the interpreter",
        "writes into the standard library",
        if_it_works("import os\nopen(os.path.dirname(os.__file__) + '/attack.py', 'w').write('x')"),
    ),
    attack("remove a file", "deletes a file that its user owns", if_it_works("import os\nos.unlink('{secret_file}')")),
    attack(
        "change modes", "makes a file of its user unreadable", if_it_works("import os\nos.chmod('{secret_file}', 0)")
    ),
    attack(
        "link out",
        "reaches a file through a link in the scratch folder",
        if_it_works("import os\nos.symlink('{secret_file}', 'link')\nopen('link').read()"),
    ),
    attack("read a secret", "reads a file that its user can read", if_it_works("open('{secret_file}').read()")),
    attack(
        "read the home",
        "lists the home folder",
        if_it_works("import os\nos.listdir('{home}')"),
    ),
    attack("read the system", "reads the list of users", if_it_works("open('/etc/passwd').read()")),
    attack(
        "read the environment", "looks for tokens", if_it_works("import os\nif not os.environ:\n    raise KeyError")
    ),
    attack(
        "read the environment of others",
        "reads it from /proc",
        if_it_works("open('/proc/{process}/environ', 'rb').read()"),
    ),
    attack(
        "read the judge's memory",
        "opens the memory of its parent",
        if_it_works("import os\nopen(f'/proc/{os.getppid()}/mem', 'rb').read(1)"),
    ),
    attack(
        "look at descriptors",
        "looks for open files beyond its pipes",
        if_it_works("""
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
    attack(
        "installed packages",
        "imports a package, which could hold the answers",
        if_it_works("""
import os, sys
sys.path += [p + '/' + n for p in sys.path for n in ('site-packages', 'dist-packages')]
import pip
"""),
    ),
    attack(
        "mount",
        "mounts a file system",
        if_it_works("""
import ctypes
if ctypes.CDLL(None).mount(b'none', b'.', b'tmpfs', 0, None) < 0:
    raise OSError
"""),
    ),
    attack(
        "leave the root",
        "nests a chroot to climb out of its own",
        if_it_works("import os\nos.mkdir('r')\nos.chroot('r')"),
    ),
]
