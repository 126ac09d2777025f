"""Linear probes: many heads in one pass over the images."""
