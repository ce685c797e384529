"""What the passes say about the camera: focal length, distortion, mounting, landmarks."""
