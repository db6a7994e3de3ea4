"""One module a noun: its routes, what they take and answer. `api.table` collects them."""
