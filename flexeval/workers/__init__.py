"""Runs by several processes, on one machine or many, with Ray as the engine. Imported only when asked for.

    driver: Crew ──> Ray actors (`worker.Worker`), each with the model loaded once for all runs of a command
            packages of samples go out, graded samples stream back, the driver alone writes the run folder

`packages.py` cuts what is missing, `crew.py` hands it out and replaces workers that die, `worker.py` runs in the
actors, `cluster.py` finds the machines. Samples do not depend on who draws them (docs/design.md, section 4), so a run
has the same samples with any number of workers.
"""

from flexeval.workers.cluster import require_address
from flexeval.workers.crew import Crew
from flexeval.workers.worker import Machine

__all__ = ["Crew", "Machine", "require_address"]
