"""timm: the entrypoint `mixfront`, and timm's weights for presets."""
