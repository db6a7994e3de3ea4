"""The control plane over HTTP: resources under /api/v1, and the OpenAPI document that describes them."""
