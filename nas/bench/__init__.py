"""Benchmarks: `nas bench search` compares samplers on a table, `nas bench throughput` repeats measurements."""
