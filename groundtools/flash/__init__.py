"""From a checkout to a payload that flies: bundle, verify, install, image, write, doctor."""
