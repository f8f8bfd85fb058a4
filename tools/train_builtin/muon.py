"""Muon in single precision: momentum, made orthogonal, for the matrices inside the layers.

It reaches a given loss in fewer steps than AdamW. PyTorch's own Muon multiplies in bfloat16, which most CPUs emulate
at a twentieth of the speed, hence this one (Jordan et al., 2024; step size matched to AdamW as in Liu et al., 2025).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterable


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose every update has singular values near one."""

    def __init__(self, matrices: Iterable[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Update every matrix; those of one shape are made orthogonal together."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = {}
            for matrix in group["params"]:
                by_shape.setdefault(matrix.shape, []).append(matrix)
            for shape, matrices in by_shape.items():
                updates = orthogonal(torch.stack([self._momentum(m, group["momentum"]) for m in matrices]))
                scale = 0.2 * max(shape) ** 0.5
                for matrix, update in zip(matrices, updates, strict=True):
                    matrix.add_(update, alpha=-group["lr"] * scale)

    def _momentum(self, matrix: nn.Parameter, decay: float) -> Tensor:
        assert matrix.grad is not None
        state = self.state[matrix]
        buffer = state.setdefault("momentum", torch.zeros_like(matrix))
        buffer.lerp_(matrix.grad, 1 - decay)
        return matrix.grad.lerp(buffer, decay)


def orthogonal(matrices: Tensor, iterations: int = 5) -> Tensor:
    """Move the singular values of a stack of matrices towards one, by Newton and Schulz's iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.size(-2) > matrices.size(-1)
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
