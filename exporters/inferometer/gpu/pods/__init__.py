"""Whose device it is: the kubelet's map of devices, and shares that add up to the device."""
