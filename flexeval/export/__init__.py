"""Runs -> the files of other tools: logs that inspect_ai opens, a folder that `datasets` loads and the hub takes."""

from flexeval.export.hub_folder import write_hub_folder
from flexeval.export.inspect_log import write_inspect_logs

__all__ = ["write_hub_folder", "write_inspect_logs"]
