"""Services that use the product, small and real."""
