<<<<<<< HEAD
"""What carries cells out on hosts: QEMU directly, or by way of Vagrant."""
=======
"""Runners: what carries cells out, on hosts of its own."""
>>>>>>> c07f317 (Boxes for Vagrant, its hosts, and a cloud that is reached by a name of its own)
