"""How hosts get certificates: a process of its own, the only one that opens the issuing key.

Who serves sensors passes renewals on to it and can't ask for any by itself.
"""
