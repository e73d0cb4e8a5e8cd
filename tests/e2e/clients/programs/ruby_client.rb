# The SDK for Ruby: one client for STS.
require "aws-sdk-core"

client = nil
while $stdin.gets
  begin
    client ||= Aws::STS::Client.new(endpoint: ENV["AWS_ENDPOINT_URL_STS"], region: "us-east-1")
    client.get_caller_identity
    puts "ok"
  rescue StandardError, LoadError => e
    puts "error #{e.class}: #{e.message}".tr("\n", " ")[0, 300]
  end
  $stdout.flush
end
