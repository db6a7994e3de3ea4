"""The versions of the peers, in one place. nginx is the one that Debian serves."""

LITELLM = "1.108.0"
PORTKEY = "1.15.2"
PORTKEY_SERVER = "1.13.8"  # of @hono/node-server
BIFROST = "1.6.8"
