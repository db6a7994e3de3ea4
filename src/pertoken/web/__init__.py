"""The pages that an operator sees in a browser. They read and change data only through services and routes."""
