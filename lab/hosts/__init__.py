"""What runs on a host of the laboratory, whoever started the host.

A runner puts a folder on the host (`order.py` says what is in it) and starts

    python -I -m lab.hosts.witness FOLDER PORT

at each boot; the port is a file or a serial line on which the witness says what happens, one JSON
object a line. The folder has to outlive a boot. The last word of a boot is `done`; where it does
not come, the host is gone.
"""
