"""Images that a package carries: scikit-learn's digits, Debian's Fashion-MNIST.

CelebA, CIFAR-10 and Omniglot are not to be had without a download by hand.
"""

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flightsw.errors import InputError

FASHION = Path("/usr/share/datasets/fashion-mnist")
TEST_SHARE = 5  # one in so many digits


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return training images (N, 1, 8, 8) in 0..1, labels, test images, labels; 1797 in all."""
    from sklearn.datasets import load_digits

    data = load_digits()
    x = torch.as_tensor(data.images / 16.0, dtype=torch.float32)[:, None]
    y = torch.as_tensor(data.target, dtype=torch.int64)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    cut = len(x) // TEST_SHARE
    return x[order[cut:]], y[order[cut:]], x[order[:cut]], y[order[:cut]]


def fashion(folder: Path = FASHION) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the same of Fashion-MNIST, (60000 and 10000, 1, 28, 28); InputError without it."""
    if not folder.is_dir():
        raise InputError(f"{folder}: not there; apt-get install dataset-fashion-mnist")
    parts = []
    for kind in ("train", "t10k"):
        for name, skip in ((f"{kind}-images-idx3-ubyte.gz", 16), (f"{kind}-labels-idx1-ubyte.gz", 8)):
            with gzip.open(folder / name) as file:
                parts.append(torch.from_numpy(np.frombuffer(file.read(), np.uint8, offset=skip).copy()))
    x, y, tx, ty = parts
    return x.reshape(-1, 1, 28, 28) / 255.0, y.long(), tx.reshape(-1, 1, 28, 28) / 255.0, ty.long()
