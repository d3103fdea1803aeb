"""What a signature is over: a domain separator and the exact bytes, so that none can be reused.

Channel Files: ``CHANNEL_FILE_DOMAIN + payload``. Revocations: ``REVOCATION_DOMAIN`` and the
32-byte content hash of the payload that is given up. The standard library only: whoever signs and
whoever verifies both use it.
"""

CHANNEL_FILE_DOMAIN = b"bulkhead channel file v1\0"
REVOCATION_DOMAIN = b"bulkhead revocation v1\0"
