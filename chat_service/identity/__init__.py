"""Who sends a request: the tokens of an OpenID issuer, checked, and the user ids that they lead to."""
