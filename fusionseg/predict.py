"""`python -m fusionseg.predict`: answers for images (`fusionseg.commands.predict`)."""

from fusionseg.cli.entry import run

if __name__ == "__main__":
    run("predict")
