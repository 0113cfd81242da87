"""Many runs at once: a grid of settings, a plan in a file, what it costs, and everything that is made of its runs."""
