"""`python -m fusionseg.fit`: trains a model (`fusionseg.commands.fit`)."""

from fusionseg.cli.entry import run

if __name__ == "__main__":
    run("fit")
