"""The operators' console: a web page on the store, in a process of its own.

It sees what `cloud.views` shows and orders what `cloud.orders` takes. It holds no key that signs,
and no session of a sensor: a fault here touches neither.
"""
