"""A code host runs what a person runs, and builds the images that the manifests name."""

from tests.deploy.code_facts import SERVICES
from tests.deploy.manifests import ROOT, documents

(WORKFLOW,) = documents(ROOT / ".github" / "workflows" / "ci.yml")


def test_the_workflow_calls_the_one_script() -> None:
    """What must hold is written once, in .ci/run."""
    commands = [step.get("run") for step in WORKFLOW["jobs"]["ci"]["steps"]]
    assert ".ci/run" in commands
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_the_workflow_builds_every_image() -> None:
    """Each target of the Dockerfile that a manifest names."""
    assert set(WORKFLOW["jobs"]["images"]["strategy"]["matrix"]["target"]) == set(SERVICES)
