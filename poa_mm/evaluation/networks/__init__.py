"""What is measured: supernets, extracted and exported files, models of timm."""
