"""What charlstm is measured against, and the scripts that measure it.

    python -m benchmarks.training
    python -m benchmarks.sampling
    python -m benchmarks.forms
    python -m benchmarks.encodings

Each prints a table and, with ``--json FILE``, writes its figures. Everything that is compared is
timed in turn within one run, so that a machine whose speed drifts slows all of it; figures are
medians, and ratios are medians of the ratios pair by pair.
"""
