"""A provider that speaks the wire formats, with faults on request: for the demo, the tests and the benchmarks.

It knows nothing of pertoken: what it counts is the provider's own word, to hold ours against.
"""
