"""What happens to files. The door is `watcher.Watcher`; it reports the values of `files`."""
