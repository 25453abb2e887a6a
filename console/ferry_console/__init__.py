"""Ferry's console: the one `ferry` command for operators and newcomers."""
