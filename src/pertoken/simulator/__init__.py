"""A simulated provider for the demo, the tests and the benchmarks. It serves all wire formats, with faults on request.

It reads requests and writes answers with its own code, so that its counts are independent of ours.
"""
