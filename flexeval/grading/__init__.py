"""Answer extraction and equivalence; the sandbox for generated programs."""
