"""Short answers: found by the declared format, read by their kind, compared with the reference.

`extraction` finds the answer in a completion; `kinds` says what a reference is; `numbers`, `quantities`, `structures`, `literals`
and `expressions` read one kind each; `comparing` is the cascade over them, cheapest and surest first.
"""
