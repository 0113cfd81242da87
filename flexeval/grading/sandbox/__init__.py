"""Run a program that nobody has read against tests, so that it can neither fool them nor harm the machine.

    harness --- worker --- judge --- candidate

The *harness* is the process that uses `Sandbox`. A *worker* is trusted, small and single-threaded; it runs
one check after the other and enforces the deadline. For each check it forks a *judge*, which runs the tests as
upstream wrote them, and the judge starts a *candidate*, a confined interpreter that holds nothing but the
program. Judge and candidate speak over two pipes, in plain values only.

Why two processes: a program in the process of its tests can read them through frames, return objects that
equal everything, append to the list of results or end the process with the status that means success. Here
it can only answer calls, and the judge draws the verdict from the answers.

What is stopped, and by what:

- fooling the tests: the candidate has neither the tests nor the verdict, and what it sends arrives as exact
  builtin types; an object that stays there is compared by what it is to Python, and is an unsupported result where only
  the program's own code could tell (`codec`, `remote`, `judge`);
- running on: limits on the processor time of candidate and judge that the kernel keeps, a deadline that the worker
  keeps; afterwards every process below the worker is killed and waited for, wherever it moved to (`launch`, `worker`);
  a worker that does not answer is one program that did not pass (`pool`);
- using up the machine: limits on memory, files, descriptors and threads; output goes nowhere (`launch`);
- reading or changing files: Landlock, and a root folder of its own that shows the interpreter only; no
  installed packages, an empty environment, an empty scratch folder that is gone afterwards, in bounded time whatever
  is in it (`landlock`, `namespaces`, `launch`, `scratch`);
- what it says: exception messages reach files and terminals on one line of bounded length, escaped (`pool`);
- other processes, the network, the kernel's rarer doors: a list of allowed system calls, namespaces, no
  capabilities, no new privileges, another user where root grades (`seccomp`, `namespaces`, `launch`).

Each layer is tried at start, on x86-64 and 64-bit Arm, as root or not. `Isolation` says what is in force and is stored
with the results. Without a wall around files and processes the sandbox does not start, unless told to.

What is not stopped: a hole in the kernel; side channels such as timing between programs; a program that
recognises the arguments of public tests and answers from memory. The programs find the standard library,
threads and files in their scratch folder, but no installed packages, processes or sockets (so no asyncio).
"""

from flexeval.grading.sandbox.pool import Sandbox, describe_isolation, shared_sandbox
from flexeval.grading.sandbox.records import LAYERS, Isolation, Limits, ProgramCheck, Verdict

__all__ = ["LAYERS", "Isolation", "Limits", "ProgramCheck", "Sandbox", "Verdict", "describe_isolation",
           "shared_sandbox"]  # fmt: skip
