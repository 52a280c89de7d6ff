"""The methods that HGAN is compared with, one a file."""
