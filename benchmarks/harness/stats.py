# SPDX-License-Identifier: BSD-3-Clause
"""Medians and spread."""
import statistics


def summarize(values):
    """What a row says of its values: with an even number of them the median is the mean of the middle two."""
    if not values:
        raise ValueError("no values")
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}
