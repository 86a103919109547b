"""Where strangers' code runs: what it may see and use, and what becomes of it if it takes more."""
