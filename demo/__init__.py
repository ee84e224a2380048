"""The demo: a web page that reads chest films, on this machine."""
