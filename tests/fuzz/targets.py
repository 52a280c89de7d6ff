"""All fuzz targets by name."""

from tests.fuzz import captions, conversion, photos, settings

TARGETS = photos.TARGETS | captions.TARGETS | conversion.TARGETS | settings.TARGETS
