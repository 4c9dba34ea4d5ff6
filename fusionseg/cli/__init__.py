"""The command line: parser, help and the entry point that turns errors into messages."""
