"""One module for each page, with its values and the changes that its forms make."""
