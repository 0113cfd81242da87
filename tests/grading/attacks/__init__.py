"""Programs that try to pass without being right, to run on, or to do harm: what the sandbox must stand.

Each stands for a family of accidents and tricks that checkers of generated programs have met. They attack the
task `add(a, b)`. Where success shows from inside (a file could be read, a process started), the program answers
rightly if, and only if, the attack succeeded: then "passed" means a hole. Where it shows from outside, `add` is
wrong and the side effect is there to be looked for.

With namespaces but without the system call filter, some of them succeed at nothing: a process started in a
namespace that dies with the check, a socket in a network without neighbours.
"""

from attacks.attack import ENTRY_POINT, RIGHT, TESTS, Attack, Surroundings, surroundings
from attacks.files import FILES
from attacks.fooling import FOOLING
from attacks.machine import MACHINE
from attacks.network import NETWORK
from attacks.processes import PROCESSES
from attacks.running_on import RUNNING_ON

ATTACKS: dict[str, list[Attack]] = {
    "fooling the tests": FOOLING,
    "running on": RUNNING_ON,
    "using up the machine": MACHINE,
    "other processes": PROCESSES,
    "files": FILES,
    "network": NETWORK,
}
"""All attacks, by what they are after."""

__all__ = ["ATTACKS", "ENTRY_POINT", "RIGHT", "TESTS", "Attack", "Surroundings", "surroundings"]
