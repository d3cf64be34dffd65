"""What the server is told. The door is `sender.Sender`; it finds out the values of `findings`."""
