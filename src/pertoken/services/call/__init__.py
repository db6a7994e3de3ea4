"""The steps of one call, one verb a module. A step says its number; `services.serve` takes them in that order."""
