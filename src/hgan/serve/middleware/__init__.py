"""Middleware: code that runs around every request."""
