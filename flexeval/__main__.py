"""The command `flexeval`, also as `python -m flexeval`."""


def command() -> int:
    """Run the command line; the exit status."""
    # Before anything else is imported: from here on no signal ends in a traceback.
    from flexeval.cli import endings

    endings.leave_at_once()
    endings.open_streams()

    # torch and transformers create millions of objects that stay. Searching them for garbage, again and again during
    # import and once more at the exit, takes a sixth of a short command's time.
    import gc

    from flexeval.cli.main import main

    gc.set_threshold(50_000)
    try:
        return endings.run(main)
    finally:
        gc.freeze()


if __name__ == "__main__":
    import sys

    sys.exit(command())
