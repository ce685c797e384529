"""The ground's side of the link to a payload."""
