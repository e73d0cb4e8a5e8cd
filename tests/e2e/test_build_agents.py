"""The examples for build systems, each run as its system would run it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from host import COMMAND, Host

EXAMPLES = Path(__file__).parents[2] / "config" / "build-agents"
INSTALLED = "/usr/local/lib/credfresh/job.sh"
OTHERS = {"AWS_PROFILE": "development", "AWS_DEFAULT_PROFILE": "development"}
WHO = "aws sts get-caller-identity --query Arn --output text"


class Agent:
    """A build host: the examples installed in a directory, and a daemon that listens."""

    def __init__(self, host: Host, *, twins: bool = False) -> None:
        self.host = host
        self.root = host.root / "agent"
        self.root.mkdir()
        self.socket = host.root / "run" / "control.sock"
        process_dir = host.root / "run" / "process"
        extra = f"process_dir: {process_dir}\n" if twins else ""
        host.configure(extra=f"control:\n  socket: {self.socket}\n{extra}")
        self.job = self.install(
            "job.sh",
            {
                "/run/credfresh/control.sock": str(self.socket),
                "/run/credfresh/credentials": str(host.credentials),
                "/run/credfresh/process": str(process_dir),
            },
        )

    def install(self, name: str, changes: dict[str, str] | None = None) -> Path:
        """Install an example with other paths in it."""
        text = (EXAMPLES / name).read_text()
        for old, new in (changes or {INSTALLED: str(self.job)}).items():
            assert old in text
            text = text.replace(old, new)
        path = self.root / name
        path.write_text(text)
        return path

    def start(self) -> None:
        """Start the daemon."""
        self.host.start("run").wait_for("daemon_ready")

    def run(self, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a process as the agent would."""
        path = f"{Path(COMMAND).parent}:{os.environ['PATH']}"
        environment = {"CREDFRESH_TIMEOUT": "10s", "AWS_REGION": "eu-west-1", **environment}
        return subprocess.run(
            argv,
            env=self.host.environment | {"PATH": path} | environment,
            cwd=self.root,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=100,
            check=False,
        )


@pytest.fixture(name="agent")
def _agent(host: Host) -> Agent:
    agent = Agent(host)
    agent.start()
    return agent


def is_production(answer: subprocess.CompletedProcess[str]) -> bool:
    """Assert that the job ended well; say whether AWS took it for production."""
    assert 0 == answer.returncode, answer.stdout + answer.stderr
    return ":assumed-role/production/" in answer.stdout


SHELLS = [
    shell
    for shell in (["sh"], ["bash"], ["dash"], ["bash", "-euo", "pipefail"], ["sh", "-eu"])
    if shutil.which(shell[0])
]


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_job_sh_works_in_every_shell(agent: Agent, shell: list[str]) -> None:
    """Sourced, it sets the SDK's variables; keys and profiles in the environment do not count."""
    keys = {"AWS_ACCESS_KEY_ID": "AKIAOTHER", "AWS_SECRET_ACCESS_KEY": "theirs"} | OTHERS
    keys |= {"AWS_ROLE_ARN": "arn:aws:iam::1:role/pod", "AWS_WEB_IDENTITY_TOKEN_FILE": "/none"}
    script = f". {agent.job} && {WHO}"
    assert is_production(agent.run(*shell, "-c", script, CREDFRESH_PROFILE="production", **keys))


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_without_a_profile_job_sh_does_nothing(agent: Agent, shell: list[str]) -> None:
    """A job that asks for no profile starts at once, in an unchanged environment."""
    done = agent.run(*shell, "-c", f". {agent.job} && env", AWS_ACCESS_KEY_ID="AKIAMINE")
    assert 0 == done.returncode, done.stderr
    assert "AWS_ACCESS_KEY_ID=AKIAMINE" in done.stdout
    assert "AWS_PROFILE" not in done.stdout


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_a_job_whose_credentials_do_not_last_does_not_begin(agent: Agent, shell: list[str]) -> None:
    """The shell ends with 5, and the job's log has the reason."""
    asked = {"CREDFRESH_PROFILE": "production", "CREDFRESH_VALID_FOR": "3h"}
    done = agent.run(*shell, "-c", f". {agent.job} && echo begun", **asked)
    assert 5 == done.returncode
    assert "at most 59m" in done.stderr
    assert "begun" not in done.stdout


@pytest.mark.parametrize("name", ["../../etc/x", "a b", "$(id)", "-h", ".hidden", "*"])
def test_a_text_that_cannot_be_a_profiles_name_is_refused(agent: Agent, name: str) -> None:
    """A text that cannot be a profile's name is refused before it is used."""
    done = agent.run("sh", "-c", f". {agent.job}", CREDFRESH_PROFILE=name)
    assert 2 == done.returncode
    assert "not a profile's name" in done.stderr


def test_with_a_process_dir_the_job_reads_the_twin(host: Host) -> None:
    """With the twin's configuration, the job outlives the session that it began with."""
    agent = Agent(host, twins=True)
    agent.start()
    script = f". {agent.job} && env && {WHO}"
    done = agent.run("sh", "-c", script, CREDFRESH_PROFILE="production")
    assert is_production(done)
    assert f"AWS_CONFIG_FILE={host.root}/run/process/production.config" in done.stdout


@pytest.mark.parametrize("twins", [False, True], ids=["file", "twin"])
def test_the_buildkite_hook_passes_on_exports_and_status(host: Host, twins: bool) -> None:  # noqa: FBT001 - a table
    """The agent's wrapper sources the hook, and uses its exports and its status."""
    agent = Agent(host, twins=twins)
    agent.start()
    hook = agent.install("buildkite-environment")
    wrapper = f'. "{hook}"\nstatus=$?\necho "hook: $status"\n[ $status = 0 ] || exit $status\n{WHO}'
    step = {"CREDFRESH_PROFILE": "production", "CREDFRESH_VALID_FOR": "45m"}
    assert is_production(agent.run("bash", "-c", wrapper, **step))
    refused = agent.run("bash", "-c", wrapper, **step | {"CREDFRESH_VALID_FOR": "2h"})
    assert 5 == refused.returncode
    assert "hook: 5\n" == refused.stdout
    assert "hook: 0" in agent.run("bash", "-c", wrapper).stdout


@pytest.mark.parametrize("twins", [False, True], ids=["file", "twin"])
def test_the_github_hook_sets_the_environment_and_can_fail_the_job(host: Host, twins: bool) -> None:  # noqa: FBT001 - a table
    """Its steps get what it writes to $GITHUB_ENV, and its failure fails the job.

    The runner runs it by `bash -e`; a hook of several parts may run it by `bash`.
    """
    agent = Agent(host, twins=twins)
    agent.start()
    hook = agent.install("github-job-started.sh")
    handed_on = agent.root / "github_env"
    runner = {"GITHUB_ENV": str(handed_on), "CREDFRESH_PROFILE": "production"}
    done = agent.run("bash", "-e", str(hook), **runner)
    assert 0 == done.returncode, done.stderr
    lines = handed_on.read_text().splitlines()
    assert all(re.fullmatch(r"AWS_[A-Z_]+=.+", line) for line in lines)
    step = OTHERS | dict(line.split("=", 1) for line in lines)
    assert twins == ("AWS_SDK_LOAD_CONFIG" in step)
    assert is_production(agent.run("bash", "-c", WHO, **step))

    handed_on.unlink()
    for shell in (["bash", "-e"], ["bash"]):
        refused = agent.run(*shell, str(hook), **runner, CREDFRESH_VALID_FOR="2h")
        assert 5 == refused.returncode
        assert not handed_on.exists()
    nothing = agent.run("bash", "-e", str(hook), GITHUB_ENV=str(handed_on))
    assert 0 == nothing.returncode, nothing.stderr
    assert "" == handed_on.read_text()


def test_the_gitlab_script_sets_the_environment_and_can_stop_the_job(agent: Agent) -> None:
    """The script runs in the job's shell, and its failure keeps the job from starting."""
    text = (EXAMPLES / "gitlab-runner.toml").read_text()
    [runner] = tomllib.loads(text)["runners"]
    before = runner["pre_build_script"].replace(INSTALLED, str(agent.job))
    assert before != runner["pre_build_script"]
    script = f"set -eo pipefail\nset +o noclobber\n: | eval '{before}\n{WHO}'\nexit 0\n"
    variables = {"CREDFRESH_PROFILE": "production", "CREDFRESH_VALID_FOR": "45m"}
    assert is_production(agent.run("bash", "-c", script, **variables))
    refused = agent.run("bash", "-c", script, **variables | {"CREDFRESH_VALID_FOR": "2h"})
    assert 0 != refused.returncode
    assert "arn:" not in refused.stdout


def test_the_jenkins_step_runs_under_sh_xe(agent: Agent) -> None:
    """The step of the Jenkinsfile works in its environment, run by `sh -xe` as in Jenkins."""
    text = (EXAMPLES / "Jenkinsfile").read_text()
    [step] = re.findall(r"(?m)^ +sh '(.+)'$", text)
    environment = dict(re.findall(r"(?m)^ +(CREDFRESH_\w+) = '(.+)'$", text))
    assert {"CREDFRESH_PROFILE": "production", "CREDFRESH_VALID_FOR": "45m"} == environment
    deploy = agent.root / "deploy"
    deploy.write_text(f"#!/bin/sh\n{WHO}\n")
    deploy.chmod(0o755)
    script = agent.root / "script.sh"
    script.write_text(f"#!/bin/sh -xe\n{step.replace(INSTALLED, str(agent.job))}\n")
    script.chmod(0o755)
    assert is_production(agent.run(str(script), **environment))
    refused = agent.run(str(script), **environment | {"CREDFRESH_VALID_FOR": "2h"})
    assert 0 != refused.returncode
    assert "arn:" not in refused.stdout


def test_every_example_is_in_the_document() -> None:
    """docs/build-agents.md names exactly the examples that exist."""
    page = (EXAMPLES.parents[1] / "docs" / "build-agents.md").read_text()
    named = set(re.findall(r"config/build-agents/([\w.-]+)", page))
    assert {path.name for path in EXAMPLES.iterdir()} == named
