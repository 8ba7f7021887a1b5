"""Executors, which run trials: Ray Tune, processes of this machine, and a simulator."""
