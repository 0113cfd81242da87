"""Runs -> one self-contained HTML page, and its decode viewer in a notebook."""

from flexeval.report.inline import show_decodes
from flexeval.report.report import render, write_report

__all__ = ["render", "show_decodes", "write_report"]
