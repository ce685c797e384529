"""States of several tensors as one: (B, ...) tensors, or tuples of them, to (B, n)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Tree = Tensor | tuple[Tensor, ...]


def ravel(tree: Any) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """Return the state as one (B, n) tensor, and the way back. Gradients pass both ways."""
    if isinstance(tree, Tensor):
        shape = tree.shape
        if not shape:
            raise ValueError("a state needs a batch in front: (B, ...)")
        return tree.reshape(shape[0], -1) if tree.numel() else tree.reshape(shape[0], _size(shape)), (
            lambda flat: flat.reshape(flat.shape[0], *shape[1:])
        )
    shapes = [part.shape for part in tree]
    sizes = [_size(shape) for shape in shapes]
    flat = torch.cat([part.reshape(part.shape[0], size) for part, size in zip(tree, sizes)], dim=1)

    def unravel(joined: Tensor) -> tuple[Tensor, ...]:
        parts = joined.split(sizes, dim=1)
        return tuple(part.reshape(part.shape[0], *shape[1:]) for part, shape in zip(parts, shapes))

    return flat, unravel


def _size(shape: torch.Size) -> int:
    size = 1
    for length in shape[1:]:
        size *= length
    return size
