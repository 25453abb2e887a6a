"""Commands that change something in Redis: `ferry pause`, `resume`, `drain`, `skip` and `forget`."""
