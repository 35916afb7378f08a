"""`python -m bindscope` is the command `bindscope`."""

from bindscope.cli import main

if __name__ == "__main__":
    main()
