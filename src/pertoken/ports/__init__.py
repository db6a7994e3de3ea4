"""The protocols that services use, one module for each noun. Wiring supplies the implementations."""
