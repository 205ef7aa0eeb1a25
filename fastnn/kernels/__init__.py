"""The compiled engine: no validation, no Python objects, no allocation. Nothing here imports from outside the folder."""
