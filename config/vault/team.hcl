# The hosts of one team: only the profiles whose names begin with `release-`.
#
#   bao policy write credfresh-release team.hcl

path "secret/data/credfresh/release-*" {
  capabilities = ["read"]
}
