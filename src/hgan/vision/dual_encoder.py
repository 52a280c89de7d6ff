"""The vision tower of a dual encoder as a backbone: patches are regions, the embedding the context.

Photos are prepared by the model's own image processor, so that the context is the embedding that
the model itself gives them.
"""

import torch
from torch import Tensor

from hgan.dual_encoders.load import (
    embedding_width,
    family_of,
    keep_vision,
    load_image_processor,
    load_model,
)
from hgan.dual_encoders.processor import read_processor
from hgan.errors import ConfigError
from hgan.hub import HubModel
from hgan.vision.backbone import Backbone, Regions, pool
from hgan.vision.hub import patch_map


class DualEncoderBackbone(Backbone):
    """A backbone whose feature map is the last hidden state of a dual encoder's vision tower, and
    whose context is the photo's embedding, of another width.

    Args:
        name: a name on the Hugging Face hub, or a folder written by `save_pretrained`.
        grid: number of regions along each side; patches are averaged over each region.

    Raises:
        ConfigError: the model is not a supported dual encoder, or cannot be loaded.
        DataError: there is no such model.
    """

    def __init__(self, name: str, grid: int = 6) -> None:
        source = HubModel.find(name)
        family_of(source, "set vision.dual_encoder to false to take regions alone from this model")
        processor = read_processor(source.source, load_image_processor(source))
        net = load_model(source)
        super().__init__(processor.mean, processor.std)
        self.name, self.grid = name, grid
        self.own_preprocessing = processor.preprocessing
        self.size = processor.preprocessing.size
        self.context_width = embedding_width(name, net.config)
        self.net = keep_vision(net)
        config = net.config.vision_config
        self._side = self.size // int(config.patch_size)
        self.width = int(config.hidden_size)
        self._probe()

    def forward(self, pixels: Tensor) -> Regions:
        """Compute features of photos (B, size, size, 3) uint8; regions are in row-major order."""
        found = self.net.get_image_features(pixel_values=self.normalise(pixels))  # type: ignore[operator]
        regions = pool(patch_map(found.last_hidden_state, self._side), self.grid).regions
        return Regions(regions, found.pooler_output)

    @torch.inference_mode()
    def _probe(self) -> None:
        """Run the model once, so that an unsuitable model fails here."""
        try:
            self(torch.zeros(1, self.size, self.size, 3, dtype=torch.uint8))
        except (RuntimeError, ValueError, TypeError) as error:
            raise ConfigError(
                f"vision.backbone: {self.name} cannot read the photos that its own image "
                f"processor makes, of {self.size} x {self.size} pixels ({error})"
            ) from error
