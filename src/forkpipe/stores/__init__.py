"""Stores: answers that were paid for, kept durable and found again by request id."""
