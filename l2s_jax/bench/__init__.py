"""Speed of systems on this device: what a program takes, beside what the device can do at the same moment."""
