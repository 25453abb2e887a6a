"""What is in stock, by what was delivered."""
