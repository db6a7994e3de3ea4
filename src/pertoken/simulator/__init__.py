"""A provider that speaks the wire formats, with faults on request: for the demo, the tests and the benchmarks.

It reads requests and answers by itself: what it counts is the provider's own word, to hold ours against.
"""
