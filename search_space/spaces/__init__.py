"""Search spaces: choices for each stage, counted exactly and walked decision by decision."""
