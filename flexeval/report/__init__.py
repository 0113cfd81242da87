"""Runs -> one self-contained HTML page."""

from flexeval.report.report import render, write_report

__all__ = ["render", "write_report"]
