"""The compiled engine: no validation, no Python objects, no allocation, and no import from outside."""
