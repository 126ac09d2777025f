"""What the pictures of :mod:`poa_mm.visualization` show: images as networks see them."""
