"""`python -m flexeval.grpo.fsdp` prints the path of the configuration for `accelerate launch --config_file`."""

from __future__ import annotations

from importlib import resources


def config_path() -> str:
    """Where fsdp.yaml lies."""
    return str(resources.files("flexeval.grpo") / "fsdp.yaml")


if __name__ == "__main__":
    print(config_path())
