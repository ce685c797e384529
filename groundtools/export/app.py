"""Turn trained runs into the files that fly, and seal them with the manifest.

`vinsat export rc`, `vinsat export ld`, `vinsat export manifest`. Each calibrates on
validation frames (their seeds are used nowhere else), checks onnxruntime against torch,
and writes the network, its card and the manifest into the models folder.
"""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from groundtools import models_folder
from groundtools.landmarks.app import default_imagery

HELP = """Turn trained runs into the files that fly.

For example:

`vinsat export rc`

`vinsat export ld --checkpoint runs/33T.pt`
"""
app = App(name="export", help=HELP)

Imageries = Annotated[list[str] | None, Parameter(help="To calibrate on; all at hand without it.")]


@app.command
def rc(
    *,
    checkpoint: Path | None = None,
    frames: Annotated[int, Parameter(help="Validation frames of each imagery.")] = 800,
    imagery: Imageries = None,
    models: Path | None = None,
) -> int:
    """Export the region classifier, its outputs shifted so that 0.5 is the best threshold."""
    import torch

    from groundtools.export.networks import export_rc
    from groundtools.training.rc_train import checkpoint_path

    torch.set_num_threads(1)
    facts = export_rc(
        checkpoint or checkpoint_path(), models or models_folder(), imagery or default_imagery(), frames
    )
    sys.stderr.write(f"rc.onnx: {facts}\n")
    return 0


@app.command
def ld(
    *,
    checkpoint: Annotated[list[Path], Parameter(help="Runs; a region of several: the last wins.")],
    region: list[str] | None = None,
    frames: Annotated[int, Parameter(help="Validation frames of each imagery.")] = 24,
    imagery: Imageries = None,
    models: Path | None = None,
) -> int:
    """Export the detectors of a run, each with its threshold and measured error."""
    import torch

    from groundtools.export.networks import export_ld

    torch.set_num_threads(1)
    for path in checkpoint:
        for name, facts in export_ld(
            path, models or models_folder(), imagery or default_imagery(), frames, region
        ):
            sys.stderr.write(f"ld-{name}.onnx: {facts}\n")
    return 0


@app.command
def manifest(*, models: Path | None = None) -> int:
    """Write the manifest anew from the files in the models folder."""
    from groundtools.export.manifest import update_manifest

    written = update_manifest(models or models_folder())
    total = sum(entry.bytes for entry in written.files())
    detectors = sum(place.detector is not None for place in written.region)
    sys.stdout.write(f"{len(written.region)} regions, {detectors} detectors, {total / 1e6:.1f} MB\n")
    return 0
