"""Caption files of several forms, read to photos, captions and an explicit ground truth."""
