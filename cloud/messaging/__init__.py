"""What replicas tell each other through NATS: hints that something changed, and reports to store.

`line` keeps the connection, `announcements` are hints, `stream` keeps reports until some replica
has stored them. Nothing here is needed for anything to be right: where NATS is gone, the database
is asked for changes, and reports go straight into it.
"""
