"""The parts of ``scripts/stress.py``."""
