"""`python -m fusionseg COMMAND`: every file of `fusionseg.commands` is a command."""

from fusionseg.cli.entry import main

if __name__ == "__main__":
    main()
