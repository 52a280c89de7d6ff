"""Photos to region features, by pretrained backbones that are not trained further."""
