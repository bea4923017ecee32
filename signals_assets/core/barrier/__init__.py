"""The abstraction barrier."""
