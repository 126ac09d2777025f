"""k-NN accuracy of networks and of their patches."""
