"""What a command runs: load, analyse, write."""
