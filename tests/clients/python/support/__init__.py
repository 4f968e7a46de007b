"""What the tests share: the client in its two flavours, a server of one's own, a proxy that cuts."""
