"""A detector of faces: docs/methods/face_detector.md."""
