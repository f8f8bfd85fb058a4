"""Programs of models, run without trust: nothing but data comes out, and what is expected never goes in.

`inside` is what runs within the walls; `walls` builds them; `seccomp` is one of them; `supervisor` talks through them;
`probe` tries whether they hold, since a wall that nobody leaned against is a hope.
"""
