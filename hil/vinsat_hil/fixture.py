"""Fixture models: a planet of noise, one region on it, networks of a few kilobytes.

Made when they are asked for, into a temporary folder; nothing is stored. The networks are
constants: the classifier names the region, the detector claims the landmarks where
`TRUE_POSE` sees them, whatever it is shown. So a frame from there is a fix, and every
other frame asks whether the dense check is awake. JPEG decoder, preprocessing, runtime,
gate and check are those that fly.
"""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla, ellipsoid_intersection, geodetic_up, lla_from_ecef
from flightsw.camera.pose_fit import Pose
from flightsw.camera.project import observe, ray_from_pixel
from flightsw.errors import UsageError
from flightsw.vision import manifest as mf
from flightsw.vision.catalog import Catalog, write_catalog
from flightsw.vision.features import merge_sources
from flightsw.vision.landmarks import HEAT_SHAPE
from flightsw.vision.maps import LAND_FULL, ReferenceMap, grid_of_region, quantise, write_map
from flightsw.vision.preprocess import LD_SHAPE, MODEL_CAMERA, RC_SHAPE

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

REGION = "33T"
BOUNDS_DEG = (13.0, 42.0, 18.0, 46.5)
LANDMARKS = 30
FIELD_PX, FIELD_KM = 512, 1.5
KNOWN, UNKNOWN = 1, 2  # seeds of the planet, and of another one
EVERY_PX = 8  # rays of a rendered frame; linear between
FIX_EVERY_S = 40.0  # frames at multiples of it are taken from TRUE_POSE


def pose_above(lat_deg: float, lon_deg: float, altitude: float) -> Pose:
    """Return the pose that looks straight down on a place, image u to the east."""
    lat, lon = np.deg2rad(lat_deg), np.deg2rad(lon_deg)
    up = geodetic_up(lat, lon)
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    return Pose(ecef_from_lla(lat, lon, altitude), np.stack([east, np.cross(-up, east), -up]))


TRUE_POSE = pose_above(44.2, 15.4, 520e3)
OTHER_POSE = pose_above(50.0, 30.0, 520e3)


@cache
def fixture_models() -> Path:
    """Return a complete models folder, made once a process. Raises UsageError without onnx."""
    folder = Path(tempfile.mkdtemp(prefix="vinsat-fixture-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_fixture(folder)
    return folder


def write_fixture(folder: Path) -> None:
    """Write the models folder: classifier, detector, catalogue, map, sealed manifest."""
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise UsageError("fixture models need onnx; pip install 'vinsat[train]'") from None
    write_catalog(folder / "33T.cat", _catalog())
    write_map(folder / "33T.map", _map())
    entry = mf.file_entry(folder, "33T.cat")
    (folder / "33T.onnx").write_bytes(_detector(mf.detector_metadata(REGION, entry)))
    classes = (REGION, mf.ELSEWHERE)
    (folder / "rc.onnx").write_bytes(_classifier(classes))
    detector = mf.Detector(mf.file_entry(folder, "33T.onnx"), threshold=0.3, sigma_model_px=0.8)
    place = mf.Region(REGION, BOUNDS_DEG, LANDMARKS, entry, mf.file_entry(folder, "33T.map"), detector)
    rc = mf.RegionClassifier(mf.file_entry(folder, "rc.onnx"), classes, threshold=0.5, most_regions=2)
    mf.write_manifest(folder, mf.Manifest(mf.SCHEMA, (place,), rc))


def fixture_picture(t_s: float) -> tuple[Image, bool]:
    """Return what the camera sees at a time, (h, w, 3): the known place (True), or another one."""
    is_known = t_s % FIX_EVERY_S == 0.0
    return _rendered(is_known), is_known


@cache
def _rendered(is_known: bool) -> Image:
    pose = TRUE_POSE if is_known else OTHER_POSE
    field = texture(KNOWN if is_known else UNKNOWN)
    u, v = (np.arange(0.0, n + EVERY_PX, EVERY_PX) for n in (MODEL_CAMERA.width_px, MODEL_CAMERA.height_px))
    nodes = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
    rays = ray_from_pixel(MODEL_CAMERA, nodes) @ pose.cam_from_ecef
    lat, lon, _ = lla_from_ecef(ellipsoid_intersection(pose.r_ecef, rays))
    across, down = between_nodes(MODEL_CAMERA.width_px), between_nodes(MODEL_CAMERA.height_px)
    lat, lon = (down @ np.rad2deg(x).reshape(len(v), len(u)) @ across.T for x in (lat, lon))
    grey = grey_at(field, lat, lon)[..., None] * np.array([1.0, 0.9, 0.7])
    noise = 2.0 * np.random.default_rng(0).standard_normal(grey.shape)
    return np.asarray(np.clip(grey + noise + 0.5, 0.0, 255.0).astype(np.uint8))


def between_nodes(size: int) -> Array:
    """Return (size, nodes): linear weights of the nodes at the pixels' centres."""
    at = (np.arange(size) + 0.5) / EVERY_PX
    nodes = np.arange(len(np.arange(0.0, size + EVERY_PX, EVERY_PX)))
    return np.maximum(1.0 - np.abs(at[:, None] - nodes), 0.0)


@cache
def texture(seed: int, size: int = FIELD_PX) -> NDArray[np.float32]:
    """Return a periodic fractal picture (size, size), 0..255."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(*np.meshgrid(np.fft.rfftfreq(size), np.fft.fftfreq(size)))
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) * frequency**-1.3
    spectrum *= np.exp(-((frequency * 3.0) ** 2))
    spectrum[0, 0] = 0.0
    field = np.fft.irfft2(spectrum)
    return np.clip(110.0 + 35.0 * field / field.std(), 0.0, 255.0).astype(np.float32)


def grey_at(field: NDArray[np.float32], lat_deg: Array, lon_deg: Array) -> NDArray[np.float32]:
    """Return the planet's grey at places, by bilinear look-up."""
    size = len(field)
    x = lon_deg * 111.2 * np.cos(np.deg2rad(44.0)) / FIELD_KM
    y = lat_deg * 111.2 / FIELD_KM
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    a, b = x - column, y - row
    at = [[field[(row + i) % size, (column + j) % size] for j in (0, 1)] for i in (0, 1)]
    top, bottom = at[0][0] * (1 - a) + at[0][1] * a, at[1][0] * (1 - a) + at[1][1] * a
    return np.asarray((top * (1 - b) + bottom * b).astype(np.float32))


def _map() -> ReferenceMap:
    grid = grid_of_region(BOUNDS_DEG)
    lat, lon = np.meshgrid(grid.lat_deg, grid.lon_deg, indexing="ij")
    features = quantise(merge_sources([grey_at(texture(KNOWN), lat, lon)]))
    return ReferenceMap(REGION, grid, features, np.full(lat.shape, LAND_FULL, np.uint8))


def _catalog() -> Catalog:
    rng = np.random.default_rng(3)
    west, south, east, north = BOUNDS_DEG
    return Catalog(
        REGION, np.arange(LANDMARKS) + 1, rng.uniform(west, east, LANDMARKS),
        rng.uniform(south, north, LANDMARKS), np.zeros(LANDMARKS), np.full(LANDMARKS, 20.0),
    )  # fmt: skip


def _claims() -> tuple[Array, Array]:
    """Return where the detector claims the landmarks (K, 2) px, and its scores (K,)."""
    uv = observe(MODEL_CAMERA, TRUE_POSE.cam_from_ecef, TRUE_POSE.r_ecef, _catalog().p_ecef)[0]
    size = np.array([MODEL_CAMERA.width_px, MODEL_CAMERA.height_px])
    inside = ((uv > 4.0) & (uv < size - 4.0)).all(axis=1)
    return np.where(inside[:, None], uv, 10.0), np.where(inside, 0.8, 0.01)


def _detector(metadata: dict[str, str]) -> bytes:
    """Return a network that always makes the same claims."""
    from onnx import TensorProto, helper, numpy_helper

    uv, score = _claims()
    cell = np.clip(np.floor(uv / 4.0), 0, np.array(HEAT_SHAPE)[::-1] - 3).astype(np.int64)
    k, zero = np.arange(len(uv)), np.zeros(len(uv), dtype=np.int64)
    heat = (np.stack([zero, k, cell[:, 1], cell[:, 0]], axis=1), np.log(score / (1.0 - score)))
    places = [np.stack([zero, np.full_like(k, c), cell[:, 1], cell[:, 0]], axis=1) for c in (0, 1)]
    offset = (np.concatenate(places), (uv / 4.0 - cell - 0.5).T.ravel())
    nodes, constants = [], []
    for name, channels, fill, (index, value) in (("heat", len(uv), -9.0, heat), ("offset", 2, 0.0, offset)):
        shape = np.array([1, channels, *HEAT_SHAPE])
        base = helper.make_tensor("value", TensorProto.FLOAT, [1], [fill])
        nodes.append(helper.make_node("ConstantOfShape", [f"{name}_shape"], [f"{name}_base"], value=base))
        inputs = [f"{name}_base", f"{name}_index", f"{name}_value"]
        nodes.append(helper.make_node("ScatterND", inputs, [name]))
        arrays = (("shape", shape), ("index", index), ("value", value.astype(np.float32)))
        constants += [numpy_helper.from_array(array, f"{name}_{suffix}") for suffix, array in arrays]
    outputs = {"heat": (1, len(uv), *HEAT_SHAPE), "offset": (1, 2, *HEAT_SHAPE)}
    return _model(nodes, constants, (1, 3, *LD_SHAPE), outputs, metadata)


def _classifier(classes: tuple[str, ...]) -> bytes:
    """Return a network that always names the first class."""
    from onnx import helper, numpy_helper

    logits = np.full((1, len(classes)), -6.0, np.float32)
    logits[0, 0] = np.log(0.9 / 0.1)
    node = helper.make_node("Constant", [], ["logits"], value=numpy_helper.from_array(logits, "value"))
    metadata = {"vinsat.kind": "rc", "vinsat.classes": ",".join(classes)}
    return _model([node], [], (1, 3, *RC_SHAPE), {"logits": logits.shape}, metadata)


def _model(
    nodes: list[Any],
    constants: list[Any],
    shape: tuple[int, ...],
    outputs: dict[str, tuple[int, ...]],
    metadata: dict[str, str],
) -> bytes:
    import onnx
    from onnx import TensorProto, helper

    frame = helper.make_tensor_value_info("frame", TensorProto.FLOAT, shape)
    results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()]
    graph = helper.make_graph(nodes, "fixture", [frame], results, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data
