"""The sensor from the first second of a boot, and across power cuts: `make boot-lab`.

Virtual machines (lab.vm) with a real systemd boot the shipped unit: `guest` says what they are
given, `state` what is on the disk that outlives a boot, `witness` runs in them as an ordinary
service and reports over a serial port. `updates` runs in a guest without systemd whose power is cut
in the middle of updates, by `cuts`. `findings` judges what guests said, `report` tells it.
"""
