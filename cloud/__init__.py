"""The mock cloud: stores, validates, offers and revokes signed Channel Files, and keeps the fleet.

An operator's command (`cloud.push`, `cloud.revoke`) signs with a key that the serving process
never holds and writes to the store; the serving process (`cloud.server`) notices, decides per
connected sensor (`cloud.offers`, pure) and speaks gRPC (`cloud.service`).
"""
