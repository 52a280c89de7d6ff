"""The loss on mosaics, which trains the local level to point at the right place.

Four photos are the quarters of one, and each word and each caption has to find its quarter
(equations 25 and 26 of docs/model.md). Without it, nothing keeps the features of a region at the
region: the backbone's receptive fields, the feature graph and MFAR all carry them elsewhere.
Shapes: M mosaics; T captions, W words, R regions of a grid.
"""

from math import isqrt

import numpy as np
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hgan.encoded import Encoded
from hgan.errors import ConfigError
from hgan.vision.backbone import grid_boxes

TEMPERATURE = 0.05
"""Temperature of the softmax over the quarters of a mosaic."""
WEIGHT = 0.5
"""Weight of this loss beside that of the levels."""


def check_mosaics(boxes: np.ndarray | None, batch_images: int) -> None:
    """Check that a model can be trained with mosaics.

    Raises:
        ConfigError: its regions are not the cells of a grid with an even number of rows, or batches
            do not consist of whole mosaics.
    """
    rows = 0 if boxes is None else isqrt(len(boxes))
    even = boxes is not None and rows % 2 == 0 and rows**2 == len(boxes)
    if not even or not np.allclose(boxes, grid_boxes(rows), atol=1e-5):  # type: ignore[arg-type]
        problem = "needs regions that are the cells of a grid with an even number of rows"
    elif batch_images % 4:
        problem = f"needs optim.batch_images to be a multiple of 4, not {batch_images}"
    else:
        return
    raise ConfigError(f"vision.mosaics: the loss on mosaics {problem}; or set vision.mosaics to 0")


def mosaic_loss(images: Encoded[Tensor], texts: Encoded[Tensor], image_of: Tensor) -> Tensor:
    """Cross-entropy of the quarter that words and captions find, a scalar.

    Args:
        images: M mosaics; photos 4m to 4m + 3 of a batch are the quarters of mosaic m, row by row.
        texts: T captions.
        image_of: (T) the photo of each caption.
    """
    quarter, real = image_of % 4, texts.mask  # (T), (T, W)
    scores = texts.local @ images.local[image_of // 4].transpose(1, 2)  # (T, W, R)
    captions = scores.sum(1) / real.sum(1)[:, None].clamp_min(1)  # (T, R)
    of_words = quarter[:, None].expand_as(real)[real]  # (P)
    return (_pointing(scores[real], of_words) + _pointing(captions, quarter)) / 2  # (25), (26)


def _pointing(scores: Tensor, quarter: Tensor) -> Tensor:
    """Cross-entropy of scores (P, R) of regions for the right quarter (P)."""
    side = isqrt(scores.shape[1])
    best = F.adaptive_max_pool2d(scores.view(-1, 1, side, side), 2).flatten(1)  # (P, 4)
    return F.cross_entropy(best / TEMPERATURE, quarter)
