"""Runs -> one self-contained HTML page, or a site of such pages; and its decode viewer in a notebook."""

from flexeval.report.bundle import write_bundle
from flexeval.report.inline import show_decodes
from flexeval.report.report import render, write_report

__all__ = ["render", "show_decodes", "write_bundle", "write_report"]
