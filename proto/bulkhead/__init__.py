"""The wire between sensor and cloud: Python generated from the `.proto` files by `make proto`."""
