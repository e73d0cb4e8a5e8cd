# A hub: writes what it renews, and keeps the lease (credfresh/.lease).
#
#   bao policy write credfresh-hub hub.hcl
#
# Mount `secret` and prefix `credfresh` are the defaults of credfresh; put yours here and there.

path "secret/data/credfresh/*" {
  capabilities = ["create", "read", "update"]
}

# How long a version lives and what is said of it; taking a secret away (`credfresh withdraw`).
path "secret/metadata/credfresh/*" {
  capabilities = ["create", "read", "update", "delete"]
}
