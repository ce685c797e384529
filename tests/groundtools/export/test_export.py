"""Exported networks: equal to torch, say what they are for, fit the manifest's rules."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the train extra")
import torch

from flightsw.vision.catalog import Catalog, write_catalog
from flightsw.vision.manifest import Detector, RegionClassifier, detector_metadata, file_entry, read_manifest
from flightsw.vision.maps import ReferenceMap, grid_of_region, write_map
from flightsw.vision.models import verify_models
from flightsw.vision.preprocess import LD_SHAPE, RC_SHAPE
from flightsw.vision.session import onnx_metadata
from groundtools.export.calibrate import centre_thresholds, probabilities
from groundtools.export.cards import read_card, write_card
from groundtools.export.manifest import RC_FILE, detector_file, update_manifest
from groundtools.export.onnx import PARITY, onnx_bytes, parity, write_onnx
from groundtools.landmarks.regions import REGIONS
from groundtools.training.ld_net import FlyingNet, LandmarkNet
from groundtools.training.rc_net import CLASSES, RegionNet

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Toy networks are slower on several cores than on one."""
    torch.set_num_threads(1)


@pytest.mark.verifies("TRN-004")
def test_a_detector_in_onnxruntime_equals_torch(rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    net = FlyingNet(LandmarkNet(7)).eval()
    data = onnx_bytes(net, (1, 3, 64, 96), ("heat", "offset"), {"vinsat.kind": "ld"})
    assert parity(net, data, rng.normal(0.0, 0.5, (1, 3, 64, 96)).astype(np.float32)) < PARITY
    assert onnx_metadata(data)["vinsat.kind"] == "ld"


def test_offsets_point_to_the_middle_of_a_peak() -> None:
    class Bump(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            heat = torch.full((1, 2, 8, 8), -8.0)
            heat[0, 1, 4, 3], heat[0, 1, 4, 4] = 3.0, 3.0  # the landmark lies on their border
            return heat, torch.zeros(1, 2, 8, 8)

    heat, offset = FlyingNet(Bump())(torch.zeros(1, 3, 32, 32))  # type: ignore[arg-type]
    np.testing.assert_allclose(offset[0, :, 4, 3].numpy(), [0.5, 0.0], atol=1e-3)  # cells
    assert bool(torch.isfinite(offset).all())
    assert heat.shape == (1, 2, 8, 8)


@pytest.mark.verifies("TRN-004")
def test_a_folder_written_from_networks_is_accepted_whole(tmp_path: Path) -> None:
    grid = grid_of_region((0.0, 0.0, 0.2, 0.2), margin_deg=0.1)
    blank = np.zeros((grid.rows, grid.columns), np.uint8)
    count = 5
    for region in REGIONS:
        zero = np.zeros(count)
        catalog = Catalog(region.id, np.arange(1, count + 1), zero, zero, zero, zero)
        write_catalog(tmp_path / f"{region.id}.cat", catalog)
        features = np.zeros((*blank.shape, 3), np.int8)
        write_map(tmp_path / f"{region.id}.map", ReferenceMap(region.id, grid, features, blank))
    torch.manual_seed(0)
    metadata = {"vinsat.kind": "rc", "vinsat.classes": ",".join(CLASSES)}
    found = write_onnx(
        tmp_path / RC_FILE, RegionNet(pretrained=False), (1, 3, *RC_SHAPE), ("logits",), metadata, halve=True
    )
    assert found["parity"] < PARITY
    assert (tmp_path / RC_FILE).stat().st_size < 8e6  # bytes: half of float32
    update_manifest(tmp_path, rc=RegionClassifier(file_entry(tmp_path, RC_FILE), CLASSES, 0.25, 3))
    name = detector_file("17R")
    metadata = detector_metadata("17R", file_entry(tmp_path, "17R.cat"))
    write_onnx(
        tmp_path / name, LandmarkNet(count), (1, 3, *LD_SHAPE), ("heat", "offset"), metadata, halve=True
    )
    update_manifest(tmp_path, detectors={"17R": Detector(file_entry(tmp_path, name), 0.1, 1.5)})
    assert len(verify_models(tmp_path)) == 17
    # A catalogue chosen anew makes the detector a stranger: it is dropped, not shipped.
    catalog = Catalog("17R", np.arange(2, count + 2), zero, zero, zero, zero)
    write_catalog(tmp_path / "17R.cat", catalog)
    update_manifest(tmp_path)
    assert all(place.detector is None for place in read_manifest(tmp_path).region)


def test_thresholds_move_to_a_half() -> None:
    torch.manual_seed(0)
    net = RegionNet(pretrained=False).eval()
    inputs = np.random.default_rng(0).normal(size=(12, 3, 96, 192)).astype(np.float32)
    before = probabilities(net, inputs)
    labels = before > np.quantile(before, 0.6, axis=0)
    best = centre_thresholds(net, labels, before)
    after = probabilities(net, inputs)
    away = np.abs(before - best) > 1e-4
    assert ((before >= best) == (after >= 0.5))[away].all()


def test_a_card_keeps_what_it_is_not_told_anew(tmp_path: Path) -> None:
    write_card(tmp_path, "rc", "Classifier", {"a": 1, "b": 2})
    write_card(tmp_path, "rc", "Classifier", {"b": 3})
    assert read_card(tmp_path, "rc") == {"a": 1, "b": 3}
    assert "Apache-2.0" in (tmp_path / "cards" / "rc.md").read_text()
