"""A simulated world: calls are carried out on a state by the reference's own functions, and the state afterwards decides.

The functions are code of whoever made the reference and the arguments are a model's, so both stay within the sandbox; a call
is dispatched by a table of the declared tools and never evaluated. What the state should be afterwards stays on this side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill.grading.programs.comparing import same_value
from gristmill.plain import as_list, as_object, as_text
from gristmill.values import decode, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gristmill.grading.calls.reading import Call
    from gristmill.ports import Session

_CARRIED_OUT = """
def carry_out_calls(state, calls, names):
    table = {name: globals().get(name.replace(".", "_")) for name in names}
    returned = []
    for name, arguments in calls:
        try:
            returned.append([True, table[name](state, **arguments)])
        except BaseException as error:
            returned.append([False, f"{name}: {type(error).__name__}: {error}"])
    return [state, returned]
"""


class Simulation(NamedTuple):
    """A world and what is to become of it."""

    code: str
    """Python with a function `NAME(state, **arguments)` for each tool; a dot in a tool's name is `_` there. It changes the state
    in place, and raises where a call is not possible."""
    state: Any
    """As it is before the first call."""
    after: tuple[Any, ...]
    """States that are right after the last one; any of them will do."""
    returns: tuple[Any, ...] = ()
    """Values that calls have to bring back, in any order."""


class Simulated(NamedTuple):
    """What became of it."""

    executes: bool
    """Whether every call was possible."""
    state_ok: bool
    returns_ok: bool
    detail: str = ""


def read_simulation(content: Any) -> Simulation | None:
    """Return the simulation that a reference describes: `{code, state, after: [states], returns: [values]}`, or None."""
    fields = as_object(content)
    if fields is None:
        return None
    code, after = as_text(fields.get("code")), as_list(fields.get("after"))
    if code is None or not after or "state" not in fields:
        return None
    return Simulation(code, fields["state"], tuple(after), tuple(as_list(fields.get("returns")) or ()))


async def simulated(simulation: Simulation, calls: Sequence[Call], names: Sequence[str], session: Session) -> Simulated:
    """Carry out calls, one after the other, and compare the state with those that are right."""
    given = [simulation.state, [[call.name, call.arguments] for call in calls], list(names)]
    name = "carry_out_calls"
    job = {"mode": "function", "code": f"{simulation.code}\n{_CARRIED_OUT}", "entry_point": name}
    result = await session.run_code({**job, "calls": [[name, encode(given), encode({})]]})
    one = result["results"][0]
    said = as_list(decode(one["value"])) if "value" in one else None
    returned = as_list(said[1]) if said is not None and len(said) == 2 else None
    if said is None or returned is None:
        return Simulated(executes=False, state_ok=False, returns_ok=False, detail=str(one.get("detail", "no state"))[:300])
    outcomes = [as_list(item) or [False, "nothing"] for item in returned]
    failed = [str(value) for ok, value in outcomes if ok is not True]
    values = [value for ok, value in outcomes if ok is True]
    return Simulated(
        executes=not failed,
        state_ok=any(same_value(said[0], state) for state in simulation.after),
        returns_ok=all(any(same_value(value, wanted) for value in values) for wanted in simulation.returns),
        detail="; ".join(failed)[:300],
    )
