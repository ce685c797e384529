"""The renderer: what a camera in orbit sees of the ellipsoidal Earth."""
