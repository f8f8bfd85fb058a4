"""gristmill: a factory for synthetic training data.

`from gristmill import api` is the Python door; the same recipe runs from YAML with `gristmill run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """Return the version when it is asked for: looking it up takes a sixth of the time of `gristmill --help`."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("gristmill")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0.0.0"
