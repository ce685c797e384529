"""Keeping the landmarks that a first network finds again: selection's last word.

Scores of pictures say which places ought to be found; a network taught on all of them
says which are. What it misses in frame after frame would only cost the others: classes,
capacity, and false candidates for the gate. Frames have seeds of their own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flightsw.vision.catalog import Catalog, read_catalog, write_catalog
from groundtools.landmarks.regions import Region, region_by_id
from groundtools.training.evaluate_ld import FULL_PX, RIGHT_PX, Network, draw_frame, look
from groundtools.training.ld_net import JointNet, as_network
from groundtools.training.ld_samples import ld_sources
from groundtools.training.ld_train import parse_imagery
from groundtools.training.rasters import HeldImagery

PRUNE_SEED = 70_002


@dataclass(frozen=True, slots=True)
class Repeatability:
    """found, asked (S, K): how often each landmark was found, and was there, by imagery."""

    found: NDArray[np.int64]
    asked: NDArray[np.int64]

    @property
    def rate(self) -> NDArray[np.float64]:
        """Return the share (K,) found, the worse of the imageries, drawn towards a half."""
        return np.asarray(((self.found + 1.0) / (self.asked + 2.0)).min(axis=0))


def measure(
    region: Region, catalog: Catalog, sources: Sequence[HeldImagery], network: Network, frames: int
) -> Repeatability:
    """Return how often a network finds each landmark in frames of each source."""
    found = np.zeros((len(sources), len(catalog)), np.int64)
    asked = np.zeros_like(found)
    for s, source in enumerate(sources):
        for k in range(frames):
            rng = np.random.default_rng([PRUNE_SEED, s, k])
            sample = draw_frame(rng, region, catalog, source)
            every = look(sample, network)
            error = FULL_PX * np.linalg.norm(every.uv_px - sample.uv_px[every.label], axis=1)
            right = np.zeros(len(catalog), bool)
            right[every.label] = error < RIGHT_PX
            asked[s] += sample.clear
            found[s] += sample.clear & right
    return Repeatability(found, asked)


def keep_best(repeatability: Repeatability, keep: int) -> NDArray[np.int64]:
    """Return the indices, ascending, of the `keep` landmarks that are found most often."""
    return np.sort(np.argsort(-repeatability.rate, kind="stable")[:keep])


def prune_catalog(catalog: Catalog, kept: NDArray[np.int64]) -> Catalog:
    """Return a catalogue of the kept landmarks; they keep their numbers."""
    names = ("number", "lon_deg", "lat_deg", "height", "size_km")
    return replace(catalog, **{name: getattr(catalog, name)[kept] for name in names})


def prune_checkpoint(source: Path, target: Path, kept: dict[str, NDArray[np.int64]]) -> None:
    """Write averaged weights whose heads hold the kept landmarks only: a warm start."""
    state: dict[str, Any] = torch.load(source, weights_only=True)
    weights = dict(state["average"] or state["net"])
    for region, index in kept.items():
        for part in ("weight", "bias"):
            key = f"heads.r{region}.{part}"
            weights[key] = weights[key][torch.from_numpy(index)]
    torch.save({"average": weights, "recipe": state["recipe"], "step": state["step"]}, target)


def prune_run(
    checkpoint: Path, folder: Path, out: Path, specs: tuple[str, ...], keep: int, frames: int
) -> Iterator[str]:
    """Write pruned catalogues and a warm start of a joint run to `out`; yield a line a region."""
    state: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    catalogs = {name: read_catalog(folder / f"{name}.cat") for name in state["recipe"]["regions"]}
    net = JointNet({name: len(catalog) for name, catalog in catalogs.items()})
    net.load_state_dict(state["average"] or state["net"])
    kept = {}
    for name, catalog in catalogs.items():
        region = region_by_id(name)
        sources = [group[0] for group in ld_sources(region, parse_imagery(specs))]
        found = measure(region, catalog, sources, as_network(net.detector(name)), frames)
        kept[name] = keep_best(found, keep)
        write_catalog(out / f"{name}.cat", prune_catalog(catalog, kept[name]))
        shares = [
            found.found[:, part].sum() / found.asked[:, part].sum() for part in (slice(None), kept[name])
        ]
        yield f"{name}: found {shares[0]:.2f} of all {len(catalog)}, {shares[1]:.2f} of the {keep} kept"
    prune_checkpoint(checkpoint, out / checkpoint.name, kept)
