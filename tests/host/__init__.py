"""reevd on a host of its own: a booted systemd, real users, real units."""
