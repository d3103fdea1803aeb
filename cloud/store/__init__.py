"""What the cloud keeps: releases and revocations, hosts and their content, reports.

Functions take an open connection and are SQLAlchemy Core only, so that several of them can share
one transaction; what differs between SQLite and PostgreSQL is in `sqlite` and `postgresql`.
"""
