"""Tables, lines, ages and sizes."""

from __future__ import annotations

import json

import pytest

from crio.cli.ctl import present
from crio.cli.ctl.containers import list_text, status_text
from crio.cli.ctl.images import list_text as images_text
from crio.cli.ctl.pods import list_text as pods_text
from crio.cri import api_pb2 as pb

SECOND = 1_000_000_000
AGES = {
    "the same second": (0, "now"),
    "a second": (1, "1 second ago"),
    "under a minute": (59, "59 seconds ago"),
    "a minute": (60, "1 minute ago"),
    "hours": (7300, "2 hours ago"),
    "days": (3 * 86400 + 5, "3 days ago"),
    "a clock that went back": (-5, "now"),
}
SIZES = {0: "0 B", 999: "999 B", 1000: "1.0 kB", 2_163_000: "2.2 MB", 716_000_000: "716 MB", 3 * 10**15: "3000 TB"}


@pytest.mark.parametrize("what", AGES)
def test_an_age_has_one_unit(what: str) -> None:
    seconds, words = AGES[what]
    assert present.age(100 * SECOND, (100 + seconds) * SECOND) == words


def test_an_unknown_time_has_no_age() -> None:
    assert present.age(0, SECOND) == "" == present.moment(0)


@pytest.mark.parametrize("count", SIZES)
def test_a_size_has_a_fitting_unit(count: int) -> None:
    assert present.size(count) == SIZES[count]


def test_columns_are_aligned_and_lines_have_no_blanks_at_their_end() -> None:
    text = present.table(("A", "LONG NAME", ""), [("value", "x", ""), ("v", "y", "z")])
    assert text.splitlines() == ["A      LONG NAME", "value  x", "v      y          z"]


def test_facts_without_a_value_are_left_out() -> None:
    assert present.facts([("id", "x"), ("reason", ""), ("exit code", "0")]) == "id         x\nexit code  0"


def test_json_shows_every_member_and_opens_info() -> None:
    answer = pb.ContainerStatusResponse(info={"info": '{"pid": 7}', "words": "no json"})
    answer.status.id = "abc"
    shown = json.loads(present.json_text(answer))
    assert shown["status"]["id"] == "abc"
    assert shown["status"]["exitCode"] == 0
    assert shown["info"] == {"info": {"pid": 7}, "words": "no json"}


def test_containers_are_listed_newest_first() -> None:
    answer = pb.ListContainersResponse()
    for number in (1, 2):
        item = answer.containers.add(id=f"{number}" * 64, pod_sandbox_id="f" * 64, created_at=number * SECOND, state=pb.CONTAINER_RUNNING)
        item.metadata.name = f"c{number}"
        item.image.image = "web:1"
    lines = list_text(answer, 10 * SECOND).splitlines()
    assert [line.split()[0] for line in lines] == ["CONTAINER", "2" * 13, "1" * 13]
    assert "8 seconds ago" in lines[1]


def test_the_exit_code_is_shown_only_after_the_end() -> None:
    running = pb.ContainerStatus(id="a", state=pb.CONTAINER_RUNNING)
    exited = pb.ContainerStatus(id="a", state=pb.CONTAINER_EXITED, exit_code=0, reason="Completed")
    assert "exit code" not in status_text(running)
    assert "exit code  0" in status_text(exited)
    assert "Completed" in status_text(exited)


def test_an_empty_list_still_has_its_headings() -> None:
    assert pods_text(pb.ListPodSandboxResponse(), 0).startswith("POD")
    assert images_text(pb.ListImagesResponse()).startswith("IMAGE")


def test_an_image_has_a_line_for_every_tag_and_one_without_any() -> None:
    answer = pb.ListImagesResponse()
    answer.images.add(id="sha256:" + "1" * 64, repo_tags=["127.0.0.1:5000/a:1", "127.0.0.1:5000/a:2"])
    answer.images.add(id="sha256:" + "2" * 64, repo_digests=["b@sha256:" + "3" * 64])
    cells = [line.split()[:3] for line in images_text(answer).splitlines()[1:]]
    assert cells == [["127.0.0.1:5000/a", "1", "1" * 13], ["127.0.0.1:5000/a", "2", "1" * 13], ["b", "<none>", "2" * 13]]
