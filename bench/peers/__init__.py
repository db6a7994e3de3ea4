"""Everything that can stand between a caller and the provider: pertoken, its peers, and the floors under them."""
