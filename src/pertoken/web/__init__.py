"""The pages: what an operator sees in a browser. They show what services answer, and change what services change."""
