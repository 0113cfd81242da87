"""Run folders and the runner. `flexeval.runs.store` reads and writes without torch; `flexeval.runs.runner` samples."""
