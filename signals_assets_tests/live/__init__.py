"""Tests against real services: deselected by default, see each module for what switches it on."""
