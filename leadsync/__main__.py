"""`python -m leadsync` is the command `leadsync`."""

from leadsync.cli import main

if __name__ == "__main__":
    main()
