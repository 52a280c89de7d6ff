"""All fuzz targets by name."""

from tests.fuzz import captions, photos, settings

TARGETS = photos.TARGETS | captions.TARGETS | settings.TARGETS
