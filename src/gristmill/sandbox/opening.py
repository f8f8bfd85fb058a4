"""The sandbox of a run: opened once, after its walls were tried, and refused where they do not hold.

Nothing of a model's runs before the probe, and nothing runs in weak walls unless the *person* says so: a recipe cannot, since
a recipe may come from anywhere.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from gristmill.errors import NoSandbox
from gristmill.ids import content_id
from gristmill.sandbox.probe import probe
from gristmill.sandbox.runner import Runner
from gristmill.sandbox.supervisor import Failed
from gristmill.sandbox.walls import INSTALL, TIERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gristmill.sandbox.probe import Probed
    from gristmill.sandbox.walls import Tier

REMEMBERED = 2_000
"""Jobs whose results are kept."""
REMEDIES = (
    "In a container allow user namespaces (for Docker `--security-opt seccomp=unconfined`, or a profile with `unshare`); on "
    "Ubuntu 24.04 or later allow them for bwrap in AppArmor; `gristmill doctor` tries again."
)


class Sandbox:
    """Runs programs once its walls have been tried; implements `ports.CodeRunner`."""

    def __init__(self, accept: Tier = "medium", size: int | None = None) -> None:
        self._accept: Tier = accept
        self._size = size
        self._lock = asyncio.Lock()
        self._runner: Runner | None = None
        self.probed: Probed | None = None
        self._remembered: OrderedDict[str, asyncio.Task[dict[str, Any]]] = OrderedDict()

    @property
    def observed(self) -> dict[str, Any] | None:
        """Return the tier that was seen, how many programs ran and how many a second; None before it is open."""
        runner = self._runner
        return None if runner is None else {"tier": runner.tier, "programs": runner.programs, "per_s": runner.per_s}

    async def open(self) -> Probed:
        """Try the walls and take the best that hold.

        Raises:
            NoSandbox: where none hold that the person accepts.
        """
        async with self._lock:
            if self.probed is None:
                self.probed = await tried(self._accept)
                self._runner = Runner(self.probed.tier, self._size)
        return self.probed

    async def run(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Run one job; one with `remember: true`, such as a reference's solution, runs once for all who ask.

        Raises:
            NoSandbox: where no walls hold that the person accepts.
        """
        await self.open()
        assert self._runner is not None
        if not job.get("remember"):
            return await self._runner.run(job)
        key = content_id("job", dict(job))
        if key not in self._remembered:
            self._remembered[key] = asyncio.create_task(self._runner.run(job))
        self._remembered.move_to_end(key)
        if len(self._remembered) > REMEMBERED and self._remembered[next(iter(self._remembered))].done():
            self._remembered.popitem(last=False)
        return await asyncio.shield(self._remembered[key])


async def tried(accept: Tier) -> Probed:
    """Return what was seen of the best walls that the person accepts, trying each tier from the strongest on.

    Raises:
        NoSandbox: where none of them holds.
    """
    whys: list[str] = []
    for tier in TIERS[: TIERS.index(accept) + 1]:
        try:
            seen = await probe(tier)
        except FileNotFoundError as error:
            whys.append(f"{tier}: bubblewrap is not installed" if str(error) == "bwrap" else f"{tier}: there is no {error}")
            continue
        except Failed as failure:
            whys.append(f"{tier}: it does not start ({failure})")
            continue
        if seen.tier == tier:
            return seen._replace(better=tuple(whys))
        whys.append(f"{tier}: did not hold ({'; '.join(f'{name}: {what}' for name, what in seen.broken.items())})")
    raise NoSandbox(
        f"no sandbox holds here, and code of models does not run without: {'; '.join(whys)}",
        fix=f"{remedy(whys)} Without walls: `--sandbox weak`.",
    )


def remedy(whys: Sequence[str]) -> str:
    """Return what would make better walls hold, by why they do not."""
    return INSTALL if "bubblewrap is not installed" in whys[0] else REMEDIES
