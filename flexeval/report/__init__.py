"""Runs -> one self-contained HTML page, or a site of such pages."""

from flexeval.report.bundle import write_bundle
from flexeval.report.report import render, write_report

__all__ = ["render", "write_bundle", "write_report"]
