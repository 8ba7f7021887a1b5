"""Images: where they come from, decoded once into one file, in a fixed split."""
