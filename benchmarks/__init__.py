"""What the product costs, measured side by side with its peers."""
