"""The numbers that papers published, and with which runs they may be compared.

A published number is shown beside a measured one only where every setting agrees; `comparable.py` decides that, for
figures, claims and scripts alike. The CSV files hold the numbers, each with its source and its settings.
"""

from __future__ import annotations

from flexeval.published.comparable import differing
from flexeval.published.numbers import Published, coverage, pass_at_k

__all__ = ["Published", "coverage", "differing", "pass_at_k"]
