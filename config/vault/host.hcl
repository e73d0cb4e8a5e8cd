# A host that may follow every profile.
#
#   bao policy write credfresh-host host.hcl

path "secret/data/credfresh/*" {
  capabilities = ["read"]
}
