"""Records to files that trainers read, with a card that says what they are."""

from gristmill.exporting import formats as _formats  # registers the formats

__all__: list[str] = []
del _formats
