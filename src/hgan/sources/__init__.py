"""Where photos are: a folder, or an object store. They are listed and read here."""
