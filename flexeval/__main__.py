"""`python -m flexeval`: the same as the command `flexeval`."""

import sys

from flexeval.cli.main import main

sys.exit(main())
