"""Regression of facial landmarks: docs/methods/recognition.md."""
