"""What customers are charged: plans, what they count, and the bill that comes of it. Pure: no I/O, no clock."""
