"""The only importer of ``google.*``: clients by address, and one module for each service."""
