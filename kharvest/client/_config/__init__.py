"""The settings of the client: `client_config` has the list, `loading` puts values together."""
