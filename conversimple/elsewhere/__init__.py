"""Tools that somebody else runs: executors of the user, in this process or another."""
