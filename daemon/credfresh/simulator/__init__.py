"""AWS STS on loopback: for the demo, and as the test double that can fail on request.

Independent of the renewal code. Signatures are checked with botocore's own signer; trust,
ExternalId, bounds, role chaining and expiry are enforced; answers and errors have AWS's shape.

    with Simulator(clock, grant_seconds=30) as sts:
        user = sts.add_user("arn:aws:iam::111111111111:user/ci")
        sts.add_role("arn:aws:iam::222222222222:role/deploy", trusts={user.arn})
        sts.inject(faults.throttle(), times=2)
        client = boto3.client(
            "sts", endpoint_url=sts.url, region_name="eu-west-1",
            aws_access_key_id=user.access_key_id, aws_secret_access_key=user.secret_access_key,
        )
        client.assume_role(RoleArn="arn:aws:iam::222222222222:role/deploy", RoleSessionName="x1")
        assert sts.count("AssumeRole", outcome="ok") == 1

Simulator     clock, host, port, grant_seconds, max_skew, max_sessions
  life        start() stop() with; url — a stop is an outage, the next start takes the same port
  world       add_user(arn) → User; add_role(arn, trusts=…, external_id=…, max_session_duration=…)
              → Role; remove_role(arn); add_web_identity(token, provider=…, subject=…, audience=…,
              expires_at=…) → WebIdentity; disable_region(name) enable_region(name);
              revoke(access_key_id); sessions; grant_seconds
  faults      inject(*faults, times=1, after=0, action=…, role=…, when=…) → Injection (used,
              withdraw()); clear_faults(); release()
  journal     calls; count(action, role=…, outcome=…); in_flight; high_water; clear_journal();
              wait_for(number, action, role=…, outcome=…, timeout=…)
faults        Refuse(code, status, message, headers) Respond(body, status, content_type) Hang()
              Reset() Grant(lifetime, expiration) | Latency(seconds) | Drip(seconds)
              Truncate(keep, announced) | Dated(skew): one of a slot at a time, and by name:
              throttle() internal_error() unavailable() access_denied() malformed_policy()
              packed_policy_too_large() region_disabled() request_expired() html_page()
              garbage_xml() s3_error() expired_grant() short_grant() grant_without_expiration()
              skewed_date() no_date()

Not simulated: identity policies (trust alone decides), presigned URLs, SigV4A, MFA, SAML,
GetSessionToken and the rest of the API (InvalidAction).
"""

from credfresh.simulator import faults
from credfresh.simulator.faults import Fault, Injection
from credfresh.simulator.journal import Call
from credfresh.simulator.simulator import Simulator
from credfresh.simulator.world import Role, Session, User, WebIdentity

__all__ = [
    "Call",
    "Fault",
    "Injection",
    "Role",
    "Session",
    "Simulator",
    "User",
    "WebIdentity",
    "faults",
]
