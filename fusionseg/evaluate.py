"""`python -m fusionseg.evaluate`: measures a run on a split (`fusionseg.commands.evaluate`)."""

from fusionseg.cli.entry import run

if __name__ == "__main__":
    run("evaluate")
