"""The steps of one call, one verb a module, in the order that `services.serve` takes them."""
