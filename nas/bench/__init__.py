"""Benchmarks: `nas bench search` compares samplers on a table of architectures that were all trained."""
