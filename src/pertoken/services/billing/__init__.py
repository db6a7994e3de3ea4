"""What customers are charged, from recorded or given events."""
