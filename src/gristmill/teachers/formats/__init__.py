"""The wire formats: how a request is written and a reply is read, one module a format; nothing here opens a connection."""
