"""The contract of `Tree`, for each store that can stand behind it."""

from __future__ import annotations

import pytest

from kstore.metadata.tree import (
    MAX_DATA_SIZE,
    BadVersion,
    Check,
    Create,
    Delete,
    EventKind,
    NoChildrenForEphemerals,
    Node,
    NodeExists,
    NoNode,
    NotEmpty,
    Set,
    TreeClosed,
    TreeError,
    WatchEvent,
    check_path,
)


@pytest.fixture
def tree(stores):
    return stores.open()


@pytest.fixture
def wait(stores):
    return stores.wait


class TestNodes:
    def test_the_root_is_there_and_empty(self, tree, wait):
        assert wait(tree.get("/")) == Node(b"", 0)
        assert wait(tree.children("/")) == []

    def test_a_node_keeps_its_data(self, tree, wait):
        wait(tree.create("/a", b"\x00data"))
        assert wait(tree.get("/a")) == Node(b"\x00data", 0)
        assert wait(tree.exists("/a")) == Node(b"\x00data", 0)
        assert wait(tree.exists("/b")) is None
        with pytest.raises(NoNode):
            wait(tree.get("/b"))

    def test_each_set_raises_the_version_by_one(self, tree, wait):
        wait(tree.create("/a"))
        assert wait(tree.set("/a", b"1")) == 1
        assert wait(tree.set("/a", b"2")) == 2
        assert wait(tree.get("/a")) == Node(b"2", 2)
        with pytest.raises(NoNode):
            wait(tree.set("/b", b""))

    def test_compare_and_set(self, tree, wait):
        wait(tree.create("/a", b"0"))
        assert wait(tree.set("/a", b"1", version=0)) == 1
        with pytest.raises(BadVersion):
            wait(tree.set("/a", b"2", version=0))
        assert wait(tree.get("/a")) == Node(b"1", 1)

    def test_of_many_compare_and_sets_one_wins(self, tree, wait):
        wait(tree.create("/a"))
        answers = [tree.set("/a", bytes([number]), version=0) for number in range(20)]
        for answer in answers[1:]:
            with pytest.raises(BadVersion):
                wait(answer)
        assert wait(answers[0]) == 1
        assert wait(tree.get("/a")) == Node(b"\x00", 1)

    def test_delete(self, tree, wait):
        wait(tree.create("/a"))
        wait(tree.set("/a", b"1"))
        with pytest.raises(BadVersion):
            wait(tree.delete("/a", version=0))
        wait(tree.delete("/a", version=1))
        assert wait(tree.exists("/a")) is None
        with pytest.raises(NoNode):
            wait(tree.delete("/a"))

    def test_a_recreated_node_starts_anew(self, tree, wait):
        wait(tree.create("/a"))
        wait(tree.set("/a", b"1"))
        wait(tree.delete("/a"))
        wait(tree.create("/a", b"2"))
        assert wait(tree.get("/a")) == Node(b"2", 0)

    def test_a_node_with_children_stays(self, tree, wait):
        wait(tree.create("/a"))
        wait(tree.create("/a/b"))
        with pytest.raises(NotEmpty):
            wait(tree.delete("/a"))
        wait(tree.delete("/a/b"))
        wait(tree.delete("/a"))

    def test_create_needs_a_parent_and_a_free_path(self, tree, wait):
        with pytest.raises(NoNode) as missing:
            wait(tree.create("/a/b"))
        assert missing.value.path == "/a"
        wait(tree.create("/a", b"1"))
        with pytest.raises(NodeExists):
            wait(tree.create("/a", b"2"))
        assert wait(tree.get("/a")) == Node(b"1", 0)

    def test_create_with_parents(self, tree, wait):
        wait(tree.create("/a", b"kept"))
        wait(tree.create("/a/b/c/d", b"1", parents=True))
        assert wait(tree.get("/a")) == Node(b"kept", 0)
        assert wait(tree.get("/a/b/c")) == Node(b"", 0)
        assert wait(tree.get("/a/b/c/d")) == Node(b"1", 0)
        with pytest.raises(NodeExists):
            wait(tree.create("/a/b", parents=True))

    def test_children_are_sorted_and_direct(self, tree, wait):
        for path in ("/b", "/a", "/a/x", "/a/y", "/a/x/deep", "/a-", "/a0"):
            wait(tree.create(path))
        assert wait(tree.children("/")) == ["a", "a-", "a0", "b"]
        assert wait(tree.children("/a")) == ["x", "y"]
        assert wait(tree.children("/b")) == []
        with pytest.raises(NoNode):
            wait(tree.children("/c"))

    def test_walk_gives_all_below_parents_first(self, tree, wait):
        for path in ("/a", "/a/x", "/a/x/deep", "/a/y", "/a-", "/a-/x", "/a0", "/a0/x"):
            wait(tree.create(path, path.encode()))
        wait(tree.set("/a/y", b"new"))
        nodes = wait(tree.walk("/a"))
        assert {node.path for node in nodes} == {"/a", "/a/x", "/a/x/deep", "/a/y"}
        paths = [node.path for node in nodes]
        assert paths.index("/a") < paths.index("/a/x") < paths.index("/a/x/deep")
        assert ("/a/y", b"new", 1) in nodes
        assert len(wait(tree.walk("/"))) == 9
        assert wait(tree.walk("/nothing")) == []

    def test_data_up_to_the_limit(self, tree, wait):
        wait(tree.create("/a", b"x" * MAX_DATA_SIZE))
        assert len(wait(tree.get("/a")).data) == MAX_DATA_SIZE
        with pytest.raises(ValueError, match="the limit is"):
            wait(tree.set("/a", b"x" * (MAX_DATA_SIZE + 1)))

    def test_answers_come_in_the_order_of_the_calls(self, tree, wait):
        order = []
        calls = [
            tree.create("/a"),
            tree.get("/a"),
            tree.set("/a", b"1"),
            tree.get("/missing"),
            tree.children("/"),
            tree.delete("/a"),
        ]
        for number, call in enumerate(calls):
            call.then(lambda _, number=number: order.append(number))
        wait(calls[-1])
        assert order == sorted(order)
        assert len(order) == 6


class TestPaths:
    @pytest.mark.parametrize(
        "path", ["/", "/a", "/a/b.c/..d", "/a b", "/é", "/...", "/a/\U0001f600"]
    )
    def test_good(self, path):
        check_path(path)

    @pytest.mark.parametrize(
        "path",
        [
            *("", "a", "//", "/a/", "/a//b", "/.", "/a/..", "/../a", "/a/./b"),
            *("/\0", "/\x1f", "/\x7f", "/\ud800", "/\uf8ff", "/\ufff0", "/\uffff"),
        ],
    )
    def test_bad(self, tree, wait, path):
        for call in (tree.get, tree.exists, tree.children, tree.walk, tree.create, tree.delete):
            with pytest.raises(ValueError, match="a path"):
                wait(call(path))
        with pytest.raises(ValueError, match="a path"):
            wait(tree.set(path, b""))
        with pytest.raises(ValueError, match="a path"):
            wait(tree.transact([Check("/", 0), Check(path, 0)]))
        with pytest.raises(ValueError, match="a path"):
            wait(tree.create(path, parents=True))

    def test_the_root_stays(self, tree, wait):
        with pytest.raises(ValueError, match="root"):
            wait(tree.delete("/"))


class TestTransactions:
    def test_all_operations_in_their_order(self, tree, wait):
        versions = wait(
            tree.transact(
                [
                    Create("/a", b"0"),
                    Create("/a/b"),
                    Set("/a", b"1"),
                    Set("/a", b"2", version=1),
                    Check("/a", 2),
                    Delete("/a/b", version=0),
                ]
            )
        )
        assert versions == [0, 0, 1, 2, 2, -1]
        assert wait(tree.get("/a")) == Node(b"2", 2)
        assert wait(tree.children("/a")) == []

    @pytest.mark.parametrize(
        ("failing", "error"),
        [
            (Create("/there"), NodeExists),
            (Create("/missing/a"), NoNode),
            (Set("/missing", b""), NoNode),
            (Set("/there", b"", version=7), BadVersion),
            (Delete("/missing"), NoNode),
            (Delete("/parent"), NotEmpty),
            (Delete("/there", version=7), BadVersion),
            (Check("/there", 7), BadVersion),
            (Check("/missing", 0), NoNode),
        ],
    )
    def test_one_that_fails_undoes_all(self, tree, wait, failing, error):
        for path in ("/there", "/parent", "/parent/child"):
            wait(tree.create(path, b"old"))
        before = wait(tree.walk("/"))
        done = [Set("/there", b"new"), Create("/new"), Delete("/parent/child"), Create("/parent/b")]
        with pytest.raises(error):
            wait(tree.transact([*done, failing, Create("/after")]))
        assert wait(tree.walk("/")) == before

    def test_a_failing_one_leaves_its_neighbours_alone(self, tree, wait):
        answers = [
            tree.transact([Create("/a")]),
            tree.transact([Create("/b"), Create("/a")]),
            tree.transact([Create("/c")]),
        ]
        wait(answers[2])
        assert wait(answers[0]) == [0]
        with pytest.raises(NodeExists):
            wait(answers[1])
        assert wait(tree.children("/")) == ["a", "c"]

    def test_nothing_to_do(self, tree, wait):
        assert wait(tree.transact([])) == []


class TestWatches:
    @pytest.fixture
    def events(self):
        return []

    def test_a_change_of_data_is_told_once(self, tree, wait, events):
        wait(tree.create("/a"))
        wait(tree.get("/a", events.append))
        wait(tree.set("/a", b"1"))
        wait(tree.set("/a", b"2"))
        assert events == [WatchEvent(EventKind.CHANGED, "/a")]

    def test_the_end_of_a_node(self, tree, wait, events):
        wait(tree.create("/a"))
        wait(tree.get("/a", events.append))
        wait(tree.children("/a", events.append))
        wait(tree.delete("/a"))
        assert events == [WatchEvent(EventKind.DELETED, "/a")] * 2

    def test_the_creation_of_a_node(self, tree, wait, events):
        assert wait(tree.exists("/a", events.append)) is None
        wait(tree.create("/a"))
        wait(tree.set("/a", b""))
        assert events == [WatchEvent(EventKind.CREATED, "/a")]

    def test_get_of_a_missing_node_watches_nothing(self, tree, wait, events):
        with pytest.raises(NoNode):
            wait(tree.get("/a", events.append))
        wait(tree.create("/a"))
        assert events == []

    def test_children_that_come_and_go(self, tree, wait, events):
        wait(tree.create("/a"))
        wait(tree.children("/a", events.append))
        wait(tree.set("/a", b"not a matter of children"))
        assert events == []
        wait(tree.create("/a/b"))
        wait(tree.create("/a/c"))
        assert events == [WatchEvent(EventKind.CHILDREN, "/a")]
        wait(tree.children("/a", events.append))
        wait(tree.set("/a/b", b"nor this"))
        wait(tree.create("/a/b/deep"))
        assert len(events) == 1
        wait(tree.delete("/a/c"))
        assert events == [WatchEvent(EventKind.CHILDREN, "/a")] * 2

    def test_created_parents_are_told_too(self, tree, wait, events):
        wait(tree.children("/", events.append))
        wait(tree.exists("/a/b", events.append))
        wait(tree.create("/a/b/c", parents=True))
        assert len(events) == 2
        assert WatchEvent(EventKind.CHILDREN, "/") in events
        assert WatchEvent(EventKind.CREATED, "/a/b") in events

    def test_several_watches_of_one_node(self, tree, wait, events):
        wait(tree.create("/a"))
        wait(tree.get("/a", events.append))
        wait(tree.exists("/a", events.append))
        wait(tree.set("/a", b"1"))
        assert len(events) == 2

    def test_a_change_that_failed_is_not_told(self, tree, wait, events):
        wait(tree.create("/a"))
        wait(tree.get("/a", events.append))
        with pytest.raises(TreeError):
            wait(tree.transact([Set("/a", b"1"), Check("/a", 0)]))
        assert events == []

    def test_the_change_is_visible_when_the_watch_is_called(self, tree, wait):
        seen = []
        wait(tree.create("/a"))
        wait(tree.get("/a", lambda event: seen.append(tree.get("/a"))))
        wait(tree.set("/a", b"1"))
        assert wait(seen[0]) == Node(b"1", 1)

    def test_the_watch_comes_before_any_answer_that_shows_its_change(self, tree, wait):
        order = []
        wait(tree.create("/a"))
        wait(tree.get("/a", lambda event: order.append("watch")))
        answers = [tree.set("/a", b"1"), tree.get("/a")]
        answers[0].then(lambda _: order.append("set"))
        answers[1].then(lambda _: order.append("get"))
        wait(answers[1])
        assert order == ["watch", "set", "get"]

    def test_nothing_is_missed_between_reading_and_the_watch(self, tree, wait, events):
        wait(tree.create("/a"))
        read = tree.get("/a", events.append)
        write = tree.set("/a", b"1")
        assert wait(read) == Node(b"", 0)
        wait(write)
        assert events == [WatchEvent(EventKind.CHANGED, "/a")]

    def test_a_watch_may_be_set_again_from_within(self, tree, wait):
        count = 0

        def again(_):
            nonlocal count
            count += 1
            tree.get("/a", again)

        wait(tree.create("/a"))
        wait(tree.get("/a", again))
        for _ in range(5):
            wait(tree.set("/a", b""))
            wait(tree.exists("/a"))
        assert count == 5

    def test_a_watch_that_raises_costs_nobody_an_answer(self, tree, wait, events, caplog):
        def broken(_):
            raise RuntimeError("broken on purpose")

        wait(tree.create("/a"))
        wait(tree.get("/a", broken))
        wait(tree.get("/a", events.append))
        assert wait(tree.set("/a", b"1")) == 1
        assert len(events) == 1
        assert "broken on purpose" in caplog.text


class TestEphemerals:
    def test_they_go_with_the_tree_that_made_them(self, stores, wait):
        tree = stores.open()
        wait(tree.create("/stays"))
        wait(tree.create("/stays/goes", b"1", ephemeral=True))
        wait(tree.transact([Create("/goes", ephemeral=True)]))
        assert wait(tree.get("/stays/goes")) == Node(b"1", 0)
        tree = stores.reopen()
        assert [node.path for node in wait(tree.walk("/"))] == ["/", "/stays"]

    def test_they_have_no_children(self, tree, wait):
        wait(tree.create("/a", ephemeral=True))
        with pytest.raises(NoChildrenForEphemerals):
            wait(tree.create("/a/b"))


class TestClosing:
    def test_a_reopened_tree_has_everything(self, stores, wait):
        tree = stores.open()
        for number in range(50):
            wait(tree.create(f"/a/{number}", bytes([number]), parents=True))
        wait(tree.set("/a", b"data"))
        before = wait(tree.walk("/"))
        assert wait(stores.reopen().walk("/")) == before

    def test_what_was_called_before_is_finished(self, stores, wait):
        tree = stores.open()
        answers = [tree.create(f"/{number}") for number in range(50)]
        closed = tree.close()
        wait(closed)
        for answer in answers:
            assert answer.done
            assert answer.error is None
        assert len(wait(stores.reopen().children("/"))) == 50

    def test_what_is_called_after_fails(self, tree, wait):
        wait(tree.close())
        for call in (tree.get("/"), tree.create("/a"), tree.transact([Create("/b")])):
            with pytest.raises(TreeClosed):
                wait(call)
        wait(tree.close())
