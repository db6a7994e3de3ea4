"""The versions of the peers, in one place. nginx is the one that Debian serves."""

LITELLM = "1.108.0"
PORTKEY = "1.15.2"
BIFROST = "1.6.8"
