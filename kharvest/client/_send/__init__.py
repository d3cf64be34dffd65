"""What the server is told. The door is `sender.Sender`; it tells the watcher what the server wants of a file."""
