"""The control plane over HTTP: resources under /api/v1, and the document that describes them."""
