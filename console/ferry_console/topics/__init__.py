"""The command `ferry topics create`."""
