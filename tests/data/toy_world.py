"""A planet of noise, one region on it, and a models folder whose networks know one pose.

Made anew for each test run, nothing is stored. The networks are constants: the detector
claims the landmarks where `TRUE_POSE` sees them, whatever it is shown, and the classifier
always names the region. So a frame from the true pose is a fix, and any other frame
tests whether the dense check is awake. The planet is that of `vinsat_hil.fixture`, four times
as large. Loaded with runpy by the tests of vision.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from flightsw.astro.geodesy import ecef_from_lla, ellipsoid_intersection, geodetic_up, lla_from_ecef
from flightsw.camera.pose_fit import Pose, rotation_from_vector
from flightsw.camera.project import observe, ray_from_pixel
from flightsw.vision import manifest as mf
from flightsw.vision.catalog import Catalog, write_catalog
from flightsw.vision.features import merge_sources
from flightsw.vision.landmarks import HEAT_SHAPE
from flightsw.vision.maps import LAND_FULL, ReferenceMap, grid_of_region, quantise, write_map
from flightsw.vision.preprocess import LD_SHAPE, MODEL_CAMERA, RC_SHAPE
from vinsat_hil import fixture
from vinsat_hil.fixture import between_nodes, grey_at

REGION = "33T"
BOUNDS_DEG = (12.0, 40.0, 18.0, 48.0)
LANDMARKS = 40
FIELD_PX = 1024


def pose_above(lat_deg, lon_deg, altitude, *, yaw=0.0, tilt=(0.0, 0.0)) -> Pose:
    """Return a pose above a place: image u to the east for yaw 0; tilt about u and v, rad."""
    lat, lon = np.deg2rad(lat_deg), np.deg2rad(lon_deg)
    up = geodetic_up(lat, lon)
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    x = np.cos(yaw) * east + np.sin(yaw) * np.cross(up, east)
    level = np.stack([x, np.cross(-up, x), -up])
    tilted = rotation_from_vector(np.array([[*tilt, 0.0]]))[0]
    return Pose(ecef_from_lla(lat, lon, altitude), tilted @ level)


TRUE_POSE = pose_above(44.2, 15.4, 520e3, yaw=0.7, tilt=(0.03, -0.02))


def texture(seed: int) -> np.ndarray:
    """Return a periodic fractal picture (FIELD_PX, FIELD_PX), 0..255."""
    return fixture.texture(seed, FIELD_PX)


def render(field: np.ndarray, pose: Pose, *, camera=MODEL_CAMERA, noise=2.0, seed=0) -> np.ndarray:
    """Return the frame (h, w, 3) uint8 of a camera at a pose: rays every 8 px, linear between."""
    u, v = (np.arange(0.0, size + 8.0, 8.0) for size in (camera.width_px, camera.height_px))
    nodes = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
    rays = ray_from_pixel(camera, nodes) @ pose.cam_from_ecef
    lat, lon, _ = lla_from_ecef(ellipsoid_intersection(pose.r_ecef, rays))
    across, down = between_nodes(camera.width_px), between_nodes(camera.height_px)
    lat, lon = (down @ np.rad2deg(x).reshape(len(v), len(u)) @ across.T for x in (lat, lon))
    grey = grey_at(field, lat, lon)
    rng = np.random.default_rng(seed)
    rgb = grey[..., None] * [1.0, 0.9, 0.7] + noise * rng.standard_normal((*grey.shape, 3))
    return np.clip(rgb + 0.5, 0.0, 255.0).astype(np.uint8)


def reference_map(field: np.ndarray, *, region: str = REGION) -> ReferenceMap:
    """Return the map of the region."""
    grid = grid_of_region(BOUNDS_DEG)
    lat, lon = np.meshgrid(grid.lat_deg, grid.lon_deg, indexing="ij")
    features = quantise(merge_sources([grey_at(field, lat, lon)]))
    return ReferenceMap(region, grid, features, np.full(lat.shape, LAND_FULL, np.uint8))


def catalog(seed: int = 3) -> Catalog:
    """Return landmarks drawn evenly over the region."""
    rng = np.random.default_rng(seed)
    west, south, east, north = BOUNDS_DEG
    return Catalog(
        REGION,
        np.arange(LANDMARKS) + 1,
        rng.uniform(west, east, LANDMARKS),
        rng.uniform(south, north, LANDMARKS),
        np.zeros(LANDMARKS),
        np.full(LANDMARKS, 20.0),
    )


def write_models(folder: Path, *, probability: float = 0.9) -> mf.Manifest:
    """Write a complete models folder; return its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    write_catalog(folder / "33T.cat", catalog())
    write_map(folder / "33T.map", reference_map(texture(1)))
    entry = mf.file_entry(folder, "33T.cat")
    (folder / "33T.onnx").write_bytes(detector_onnx(mf.detector_metadata(REGION, entry)))
    classes = (REGION, mf.ELSEWHERE)
    (folder / "rc.onnx").write_bytes(classifier_onnx(classes, probability))
    detector = mf.Detector(mf.file_entry(folder, "33T.onnx"), threshold=0.3, sigma_model_px=0.8)
    place = mf.Region(REGION, BOUNDS_DEG, LANDMARKS, entry, mf.file_entry(folder, "33T.map"), detector)
    rc = mf.RegionClassifier(mf.file_entry(folder, "rc.onnx"), classes, threshold=0.5, most_regions=2)
    manifest = mf.Manifest(mf.SCHEMA, (place,), rc)
    mf.write_manifest(folder, manifest)
    return manifest


def claims() -> tuple[np.ndarray, np.ndarray]:
    """Return where the detector claims the landmarks (K, 2) px, and its scores (K,).

    One in four lies: it is shown somewhere else.
    """
    uv = observe(MODEL_CAMERA, TRUE_POSE.cam_from_ecef, TRUE_POSE.r_ecef, catalog().p_ecef)[0]
    size = np.array([MODEL_CAMERA.width_px, MODEL_CAMERA.height_px])
    inside = ((uv > 4.0) & (uv < size - 4.0)).all(axis=1)
    rng = np.random.default_rng(4)
    lies = rng.random(len(uv)) < 0.25
    uv = np.where(lies[:, None], rng.uniform(10.0, size - 10.0, uv.shape), uv)
    return uv, np.where(inside | lies, 0.8, 0.01)


def detector_onnx(metadata: dict[str, str]) -> bytes:
    """Return a network that always makes the same claims."""
    uv, score = claims()
    cell = np.clip(np.floor(uv / 4.0), 0, np.array(HEAT_SHAPE)[::-1] - 3).astype(np.int64)
    k = np.arange(len(uv))
    heat_index = np.stack([np.zeros_like(k), k, cell[:, 1], cell[:, 0]], axis=1)
    heat = np.log(score / (1.0 - score)).astype(np.float32)
    shift = (uv / 4.0 - cell - 0.5).astype(np.float32)
    offset_index = np.concatenate(
        [np.stack([np.zeros_like(k), np.full_like(k, c), cell[:, 1], cell[:, 0]], axis=1) for c in (0, 1)]
    )
    nodes, constants = [], []
    parts = (
        ("heat", len(uv), -9.0, heat_index, heat),
        ("offset", 2, 0.0, offset_index, shift.T.ravel()),
    )
    for name, channels, fill, index, value in parts:
        shape = np.array([1, channels, *HEAT_SHAPE])
        base = helper.make_tensor("value", TensorProto.FLOAT, [1], [fill])
        nodes.append(helper.make_node("ConstantOfShape", [f"{name}_shape"], [f"{name}_base"], value=base))
        inputs = [f"{name}_base", f"{name}_index", f"{name}_value"]
        nodes.append(helper.make_node("ScatterND", inputs, [name]))
        for suffix, array in (("shape", shape), ("index", index), ("value", value)):
            constants.append(numpy_helper.from_array(array, f"{name}_{suffix}"))
    outputs = {"heat": (1, len(uv), *HEAT_SHAPE), "offset": (1, 2, *HEAT_SHAPE)}
    return model_onnx(nodes, constants, (1, 3, *LD_SHAPE), outputs, metadata)


def classifier_onnx(classes: tuple[str, ...], probability: float) -> bytes:
    """Return a network that always names the first class with this probability."""
    logits = np.full((1, len(classes)), -6.0, np.float32)
    logits[0, 0] = np.log(probability / (1.0 - probability))
    node = helper.make_node("Constant", [], ["logits"], value=numpy_helper.from_array(logits, "value"))
    metadata = {"vinsat.kind": "rc", "vinsat.classes": ",".join(classes)}
    return model_onnx([node], [], (1, 3, *RC_SHAPE), {"logits": logits.shape}, metadata)


def model_onnx(nodes, constants, input_shape, outputs, metadata) -> bytes:
    """Return a serialised network."""
    frame = helper.make_tensor_value_info("frame", TensorProto.FLOAT, input_shape)
    results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()]
    graph = helper.make_graph(nodes, "toy", [frame], results, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return model.SerializeToString()
