"""gristmill: a factory for synthetic training data.

`from gristmill import api` is the Python door; the same recipe runs from YAML with `gristmill run`.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("gristmill")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
