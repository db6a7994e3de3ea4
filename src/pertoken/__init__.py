"""pertoken: language-model traffic into exact money."""
