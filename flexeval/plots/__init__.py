"""Frames -> matplotlib axes. Knows no runs, no files and no torch; never touches pyplot."""
