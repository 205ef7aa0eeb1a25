"""Benchmarks that compare commits of fastnn; ``scripts/compare_peers.py`` compares it with other libraries."""
