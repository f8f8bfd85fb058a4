"""The command line: thin covers of the API, one file a command."""
