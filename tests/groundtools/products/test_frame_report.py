import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import simplejpeg

from flightsw.errors import InputError
from flightsw.vision.models import load_models
from flightsw.vision.preprocess import MODEL_CAMERA
from groundtools.products.frame_report import frame_page

TOY_WORLD = Path(__file__).parents[2] / "data" / "toy_world.py"


@pytest.fixture(scope="module")
def toy() -> SimpleNamespace:
    pytest.importorskip("onnx")
    return SimpleNamespace(**runpy.run_path(str(TOY_WORLD)))


@pytest.fixture(scope="module")
def models(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "models"
    toy.write_models(folder)
    return load_models(folder)


@pytest.mark.verifies("VIS-115")
def test_a_fix_is_shown_with_its_patches_its_map_and_what_decided(toy, models):
    rgb = toy.render(toy.texture(1), toy.TRUE_POSE)
    made = frame_page(models, simplejpeg.encode_jpeg(rgb, 90), MODEL_CAMERA, name="a<b>.jpg")
    assert made.result.pose is not None
    assert made.html.count("<figure>") == 4
    assert made.html.count("<circle") == len(made.result.detections)
    assert "a&lt;b&gt;.jpg" in made.html
    assert not re.search(r"(src|href)=\"http", made.html)  # nothing is fetched
    for part in ("33T", f"contrast {made.result.score.contrast:.1f}"):
        assert part in made.html


def test_a_frame_without_a_fix_says_so_and_shows_the_frame_alone(models):
    black = simplejpeg.encode_jpeg(np.zeros((648, 1152, 3), np.uint8), 90)
    made = frame_page(models, black, MODEL_CAMERA, name="night.jpg")
    assert made.html.count("<figure>") == 1
    assert "The frame is black" in made.html
    with pytest.raises(InputError):
        frame_page(models, b"no picture", MODEL_CAMERA, name="x.jpg")
