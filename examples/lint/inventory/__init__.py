"""The things in a store."""
