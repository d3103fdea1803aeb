"""What carries cells out on hosts: QEMU directly, or by way of Vagrant."""
