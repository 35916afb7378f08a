"""What a command runs: load, analyse, make records. One module a command, and one an analysis."""
