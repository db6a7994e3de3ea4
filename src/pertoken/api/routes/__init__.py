"""One module for each noun, with its routes and the structs of their bodies and answers. `api.table` collects them."""
