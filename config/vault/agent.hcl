# The same secrets for a tool that is no credfresh: an agent of the engine that writes one profile
# as the JSON of `credential_process`.
#
#   bao agent -config=agent.hcl
#
# The hub needs `delete_expired: false`: OpenBao's agent (seen in 2.7.2) takes a version that will be
# deleted for one that has been. HashiCorp's knows the difference since Vault 1.15.6.

vault {
  address = "https://bao.example.com:8200"
}

auto_auth {
  method "approle" {
    config = {
      role_id_file_path                   = "/etc/credfresh/role-id"
      secret_id_file_path                 = "/etc/credfresh/secret-id"
      remove_secret_id_file_after_reading = false
    }
  }
}

# A KV secret has no lease: the agent looks again this often.
template_config {
  static_secret_render_interval = "1m"
}

template {
  destination = "/run/bao-agent/production.json"
  perms       = "0640"
  contents    = <<EOT
{{ with secret "secret/data/credfresh/production" }}{"Version": 1, "AccessKeyId": "{{ .Data.data.AccessKeyId }}", "SecretAccessKey": "{{ .Data.data.SecretAccessKey }}", "SessionToken": "{{ .Data.data.SessionToken }}", "Expiration": "{{ .Data.data.Expiration }}"}{{ end }}
EOT
}
