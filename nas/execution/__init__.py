"""Where trials run: Ray Tune, or processes of this machine."""
