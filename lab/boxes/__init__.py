"""Boxes for Vagrant: Debian hosts made of packages, with the environment that the sensor needs.

`model` reads what hosts there are, `root` makes a file system, `pack` a box of it, `registry` tells
the Vagrantfile what was made. Libvirt runs them with a kernel and a first file system that lie
beside its own images, so a box needs no boot loader.
"""
