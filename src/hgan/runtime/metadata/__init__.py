"""What a photo says about itself, and what other programs say about it: EXIF, IPTC and XMP."""
