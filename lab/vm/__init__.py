"""Virtual machines for the laboratory: images from Debian packages, guests under QEMU.

`debian` fetches packages of any release without touching this machine's own package lists;
`image` and `kernel` make file systems and bootable kernels from them, kept in build/vm;
`initramfs` and `machine` start a guest on these and say how it ended. A guest has no network, and
nothing that it writes survives it but what is on a disk that is kept on purpose.
"""
