"""Commands that change something in a running system: `ferry pause`, `ferry resume`, `ferry drain`, `ferry skip`."""
