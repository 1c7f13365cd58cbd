"""Identity encoders trained with an additive angular margin: docs/methods/recognition.md."""
