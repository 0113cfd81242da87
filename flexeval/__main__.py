"""The command `flexeval`, also as `python -m flexeval`: `main` in a process that ends with it."""

import gc
import sys

from flexeval.cli.main import main


def command() -> int:
    """Run the command line; the exit status."""
    # torch and transformers bring millions of objects that stay. Searching them for garbage, again and again while they
    # come and once more at the exit, takes a sixth of a short command's time.
    gc.set_threshold(50_000)
    try:
        return main()
    finally:
        gc.freeze()


if __name__ == "__main__":
    sys.exit(command())
