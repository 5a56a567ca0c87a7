"""Benchmarks: `python -m tests.bench [NAME …] [--json] [--smoke]`, each figure beside its yardstick of the same run."""
