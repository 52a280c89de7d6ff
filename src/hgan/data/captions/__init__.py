"""Caption files of every form, read to photos, captions and an explicit ground truth."""
