"""Pictures: what is in them, that nothing overlaps or is cut, that they harm nobody, and that they say why."""

from __future__ import annotations

import re
import subprocess
import sys
from ast import literal_eval
from pathlib import Path
from xml.etree import ElementTree

import pytest

from eventlog import Cluster, RequestError
from eventlog.cluster import Cluster as RealCluster
from eventlog.views import Ladder, View, diff, ladder, log_view, metrics_strip, scene, verdict_card, watch
from eventlog.views.film import Film
from eventlog.views.scenes import MOST_STEPS, NUMBERS, SCENES
from eventlog.views.sheet import AGAIN, ARROW, LATE, LOST, Sheet
from eventlog.views.svg import COLOURS, EPOCH_COLOURS, svg_ladder, svg_size, text_width

GOLDEN = Path(__file__).parent / "golden"
SVG = "{http://www.w3.org/2000/svg}"
ALONE = {"linger_ms": 0, "batch_size": 0, "request_timeout_ms": 1000}


def film_of(brokers: int, rounds: int, **settings: int) -> Film:
    """Two writers, one of them plain, under lost answers, a crash and a restart."""
    cluster = Cluster(brokers, min_insync_replicas=min(2, brokers))
    film = watch(cluster)
    cluster.create_topic("orders")
    one = cluster.producer("payments-writer", **ALONE, **settings)
    other = cluster.producer("audit", enable_idempotence=False, **ALONE)
    for number in range(rounds):
        cluster.lose_next_ack()
        one.send("orders", f"v{number}")
        other.send("orders", f"quite a long value {number}")
        cluster.advance(1500)
        if number == 1:
            cluster.crash(1)
            cluster.advance(9000)
        if number == 2:
            cluster.restart(1)
            cluster.advance(2000)
    one.flush()
    other.flush()
    cluster.advance(1000)
    return film


def pieces(svg: str) -> list[str]:
    """What a picture consists of, in order, wherever it stands: kinds, texts and steps; no coordinates."""
    found = []
    for piece in ElementTree.fromstring(svg).iter():
        name = piece.tag.removeprefix(SVG)
        if name == "style":
            continue
        step = piece.get("data-step", "")
        dashes = piece.get("stroke-dasharray", "")
        found.append(" ".join(filter(None, [name, piece.get("class", ""), step, dashes, (piece.text or "").strip()])))
    return found


def texts(sheet: Sheet) -> set[str]:
    """All that can be read in its picture."""
    return {piece.text or "" for piece in ElementTree.fromstring(svg_ladder(sheet)).iter(f"{SVG}text")}


Box = tuple[float, float, float, float, str]


def boxes(svg: str) -> tuple[list[Box], list[Box], float, float]:
    """The room of every text as (left, top, right, bottom, text), and of every cell; the picture's width and height."""
    root = ElementTree.fromstring(svg)
    found: list[Box] = []
    cells: list[Box] = []

    def walk(piece: ElementTree.Element, shift: float) -> None:
        moved = re.match(r"translate\(([-\d.]+)", piece.get("transform", ""))
        shift += float(moved[1]) if moved else 0
        if piece.tag == f"{SVG}text":
            size, text = float(piece.get("font-size", "12")), piece.text or ""
            width = text_width(text, size, piece.get("font-weight") == "700")
            x, y = float(piece.get("x", "0")) + shift, float(piece.get("y", "0"))
            left = {"middle": x - width / 2, "end": x - width}.get(piece.get("text-anchor", ""), x)
            found.append((left, y - size * 0.76, left + width, y + size * 0.22, text))
        if re.fullmatch(r"el-e\d", piece.get("class", "")):
            x, y, width, height = (float(piece.get(name, "0")) for name in ("x", "y", "width", "height"))
            cells.append((x + shift, y, x + shift + width, y + height, "cell"))
        for child in piece:
            walk(child, shift)

    walk(root, 0)
    return found, cells, float(root.get("width", "0")), float(root.get("height", "0"))


def faults_of_layout(svg: str) -> list[str]:
    """Texts that lie over each other, outside the picture, or over the edge of their cell."""
    texts, cells, width, height = boxes(svg)
    found = [f"cut: {box}" for box in texts if box[0] < 0 or box[1] < 0 or box[2] > width or box[3] > height]
    for index, one in enumerate(texts):
        found += [f"over each other: {one} {other}" for other in texts[index + 1 :] if is_over(one, other)]
        found += [f"over the edge: {one}" for cell in cells if is_over(one, cell) and not is_inside(one, cell)]
    return found


def is_over(one: Box, other: Box) -> bool:
    is_beside = one[2] - 1 <= other[0] or other[2] - 1 <= one[0]
    return not is_beside and one[1] < other[3] - 1 and other[1] < one[3] - 1


def is_inside(one: Box, other: Box) -> bool:
    return other[0] <= one[0] and one[2] <= other[2] and other[1] <= one[1] and one[3] <= other[3]


@pytest.fixture(scope="module")
def told() -> dict[str, Ladder]:
    return {name: scene(name) for name in SCENES}


@pytest.fixture(scope="module")
def five() -> Film:
    return film_of(5, 4)


# --- scenes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_looks_as_it_did_when_somebody_looked_at_it(
    name: str, told: dict[str, Ladder], request: pytest.FixtureRequest
) -> None:
    path = GOLDEN / f"{name}.svg"
    if request.config.getoption("--rewrite-pictures", default=False):
        path.write_text(told[name].svg)
    assert pieces(told[name].svg) == pieces(path.read_text())


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_is_short_and_well_laid_out(name: str, told: dict[str, Ladder]) -> None:
    for sheet in told[name].sheets:
        assert len(sheet.rows) <= MOST_STEPS
        assert sheet.left_out == 0
    assert faults_of_layout(told[name].svg) == []


def test_a_scene_is_the_same_in_another_process() -> None:
    code = "from eventlog.views import scene; import hashlib; print(hashlib.sha256(scene(3).svg.encode()).hexdigest())"
    seen = set()
    for salt in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": salt}
        )
        seen.add(done.stdout)
    assert len(seen) == 1


def logs(sheet: Sheet) -> str:
    """The leader's log in the end."""
    (leader,) = [strip for strip in sheet.moments[-1].strips if strip.role == "leader"]
    return " ".join([cell.value for cell in leader.cells])


def test_the_lost_acknowledgement_ends_in_the_offset_it_had(told: dict[str, Ladder]) -> None:
    (sheet,) = told["lost-ack"].sheets
    assert sheet.rows[-1].label == "m1: DUPLICATE, offset 1"
    assert sheet.rows[-1].why == "sequence 1 is already at offset 1, written under leader_epoch 0"
    assert logs(sheet) == "m0 m1"


def test_the_mirror_turns_the_plain_writers_log_around(told: dict[str, Ladder]) -> None:
    plain, idempotent = told["mirror"].sheets
    assert logs(plain) == "m0 m1 m2 m3 m4 m5 m5 m4 m3 m2 m1"
    assert logs(idempotent) == "m0 m1 m2 m3 m4 m5"


def test_the_duplicate_waits_for_the_high_watermark(told: dict[str, Ladder]) -> None:
    (sheet,) = told["failover"].sheets
    marks = [{strip.broker_id: strip.high_watermark for strip in moment.strips}[2] for moment in sheet.moments]
    assert marks == [1, 1, 2]
    assert [row.label for row in sheet.rows].index("healed: broker-2 and broker-3") == len(sheet.rows) - 2
    assert "DUPLICATE" in sheet.rows[-1].label


def test_order_is_restored_when_the_first_of_five_is_lost(told: dict[str, Ladder]) -> None:
    (sheet,) = told["order"].sheets
    assert sheet.rows[0].style == LOST
    assert logs(sheet) == "m0 m1 m2 m3 m4 m5"


def test_the_zombie_is_fenced_by_its_epoch(told: dict[str, Ladder]) -> None:
    (sheet,) = told["zombie"].sheets
    assert sheet.rows[-1].style == LATE
    assert "INVALID_PRODUCER_EPOCH: producer_epoch 0 is fenced" in sheet.rows[-1].why
    assert logs(sheet) == "m0 m2"


def test_the_epoch_of_a_producer_is_told_where_it_had_another_than_0(told: dict[str, Ladder]) -> None:
    """Both of the zombie's records have sequence 0."""
    (sheet,) = told["zombie"].sheets
    cells = sheet.moments[-1].strips[0].cells
    assert [(cell.name, cell.sequence, cell.producer_epoch) for cell in cells] == [("A0:0", 0, 0), ("A1:0", 0, 1)]
    assert [row.label for row in sheet.rows if row.kind == ARROW] == [
        "m2 · seq 0, epoch 1",
        "m2: ok, offset 1",
        "m1 · seq 1, epoch 0 (the late one)",
    ]
    assert {"A0:0", "A1:0", "A1:0 m2: record m2 by writer, sequence 0 of its producer_epoch 1"} <= texts(sheet)
    assert "A0:0=m0 A1:0=m2 ┃" in told["zombie"].text
    (sheet,) = told["lost-ack"].sheets
    assert {"A0", "A1", "m1 · seq 1"} <= texts(sheet)
    assert "A0=m0 A1=m1 ┃" in told["lost-ack"].text


@pytest.mark.parametrize(
    ("name", "holed", "whole"), [("restart-hole", "m1 m2 m1 m2", "m1 m2"), ("first-batch-hole", "m1", "m0 m1")]
)
def test_each_hole_is_one_switch_wide(name: str, holed: str, whole: str, told: dict[str, Ladder]) -> None:
    one, other = told[name].sheets
    assert (logs(one), logs(other)) == (holed, whole)
    settings, others = (literal_eval(sheet.literal)["scenario"] for sheet in (one, other))
    assert len([key for key in settings if settings[key] != others[key]]) == 1


def test_the_sequence_after_the_highest_is_0(told: dict[str, Ladder]) -> None:
    (sheet,) = told["wrap"].sheets
    assert [row.label for row in sheet.rows[:2]] == ["m1 · seq 2147483647", "m2 · seq 0"]
    assert logs(sheet) == "m0 m1 m2"


def test_every_refusal_and_every_recognised_duplicate_says_why(told: dict[str, Ladder], five: Film) -> None:
    count = 0
    for shown in (*told.values(), ladder(five)):
        for sheet in shown.sheets:
            for row in sheet.rows:
                if "DUPLICATE" in row.label or "refused, " in row.label:
                    assert len(row.why) > 20, row
                    assert row.why.split(";")[0] in sheet.summary
                    count += 1
    assert count > 15


def test_a_scene_has_a_name_and_a_number() -> None:
    for number, name in NUMBERS.items():
        assert scene(number).sheets[0].rows == scene(name).sheets[0].rows
    assert scene(1).text == scene("lost-ack").text
    with pytest.raises(RequestError, match="there is no scene 'nope'; the scenes are: 1 lost-ack, 2 mirror"):
        scene("nope")
    with pytest.raises(RequestError, match="there is no scene '99'"):
        scene(99)


SIGNS = {
    "arrives": "──▶ arrives",
    "lost": "╌╌✗ lost",
    "sent again, or the answer to what was": "══▶ sent again, or the answer to what was",
    "late, from before": "┈┈▶ late, from before",
    "a fault, by its name": "⚡ a fault, by its name",
    "²: the same record again": "² the same record again",
    "A5 m5: record m5 by writer, sequence 5": "A5=m5: record m5 by writer, sequence 5",
    "A m5: record m5 by writer, without a sequence": "A=m5: record m5 by writer, without a sequence",
}


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("mirror", ["late, from before"]),
        ("zombie", [sign for sign in SIGNS if sign not in ("arrives", "late, from before", "a fault, by its name")]),
        ("first-batch-hole", ["lost", "late, from before", "²: the same record again", *list(SIGNS)[-2:]]),
    ],
)
def test_the_legend_explains_what_occurs_and_nothing_else(
    name: str, missing: list[str], told: dict[str, Ladder]
) -> None:
    drawn = {text for sheet in told[name].sheets for text in texts(sheet)}
    assert [sign for sign in SIGNS if sign not in drawn] == missing
    assert [sign for sign in SIGNS if SIGNS[sign] not in told[name].text] == missing
    assert "hw: high_watermark; all in sync have what is before it" in drawn
    assert "┃ the high watermark: all in sync have what is before it" in told[name].text
    assert "above a cell: its offset" in drawn


# --- layout -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("brokers", [3, 5])
@pytest.mark.parametrize("steps", [14, 40])
@pytest.mark.parametrize("with_replication", [False, True])
@pytest.mark.parametrize("settings", [{}, {"delivery_timeout_ms": 1050}, {"initial_sequence": 2147483645}], ids=str)
def test_nothing_overlaps_and_nothing_is_cut(
    brokers: int, steps: int, with_replication: bool, settings: dict[str, int]
) -> None:
    film = film_of(brokers, 6, **settings)
    shown = ladder(film, title="Two writers", most_rows=steps, with_replication=with_replication)
    (sheet,) = shown.sheets
    assert len(sheet.rows) == steps
    assert len(sheet.actors) == 2 + brokers
    assert faults_of_layout(shown.svg) == []
    names = [cell.name for moment in sheet.moments for strip in moment.strips for cell in strip.cells]
    assert any(":" in name for name in names) is ("delivery_timeout_ms" in settings)
    assert any("…" in name for name in names) is ("initial_sequence" in settings)


def test_logs_that_would_make_a_picture_too_wide_stand_under_its_ladder() -> None:
    film = film_of(3, 6)
    (short,) = ladder(film, end=70, most_rows=14).sheets
    (long,) = ladder(film, most_rows=14).sheets
    for sheet, is_beside in ((short, True), (long, False)):
        texts, _, width, _ = boxes(svg_ladder(sheet))
        (logs,) = [box for box in texts if box[4] == f"logs after step {sheet.moments[-1].row + 1}"]
        assert (logs[0] > 100) is is_beside
        assert width < 1000


def test_where_there_are_several_partitions_it_is_said_which_one_is_led() -> None:
    cluster = Cluster(3)
    cluster.create_topic("orders", partitions=2)
    labels = [row.label for row in ladder(cluster).sheets[0].rows]
    assert [label.split(" · ")[0] for label in labels] == ["orders-0: broker-1 leads", "orders-1: broker-2 leads"]
    (row,) = ladder(cluster, about=("orders", 1)).sheets[0].rows
    assert row.label.startswith("broker-2 leads")


def test_what_is_left_out_behind_the_last_row_has_a_line_of_its_own() -> None:
    (sheet,) = ladder(film_of(3, 6), most_rows=14).sheets
    svg = svg_ladder(sheet._replace(gaps=((len(sheet.rows) - 1, 7),), left_out=7))
    assert faults_of_layout(svg) == []


def test_the_overlap_test_finds_overlaps() -> None:
    text = '<text x="{}" y="{}" font-size="12">some words</text>'
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="60">{}</svg>'
    assert faults_of_layout(svg.format(text.format(10, 20) + text.format(10, 40))) == []
    assert len(faults_of_layout(svg.format(text.format(10, 20) + text.format(30, 25)))) == 1
    assert len(faults_of_layout(svg.format(text.format(260, 20)))) == 1
    cell = '<rect class="el-e1" x="5" y="5" width="{}" height="30"/>'
    assert faults_of_layout(svg.format(cell.format(100) + text.format(10, 20))) == []
    assert len(faults_of_layout(svg.format(cell.format(60) + text.format(10, 20)))) == 1


def test_every_step_can_be_found_and_lit(told: dict[str, Ladder]) -> None:
    (sheet,) = told["failover"].sheets
    root = ElementTree.fromstring(svg_ladder(sheet, highlight=2))
    steps = [piece for piece in root.iter(f"{SVG}g") if piece.get("data-step")]
    assert [piece.get("id") for piece in steps] == [f"step-{number}" for number in range(1, len(sheet.rows) + 1)]
    assert len([piece for piece in root.iter() if piece.get("class") == "el-hl"]) == 1
    assert (int(root.get("width", "0")), int(root.get("height", "0"))) == svg_size(sheet)


def test_two_pictures_in_one_have_no_id_twice(told: dict[str, Ladder]) -> None:
    ids = re.findall(r' id="([^"]+)"', told["mirror"].svg)
    assert len(ids) == len(dict.fromkeys(ids)) == 24


def test_what_is_left_out_is_counted() -> None:
    film = film_of(3, 12)
    (sheet,) = ladder(film, most_rows=14).sheets
    (whole,) = ladder(film, most_rows=1000).sheets
    assert sheet.left_out == sum(row.events for row in whole.rows) - sum(row.events for row in sheet.rows) > 0
    assert sum(events for _, events in sheet.gaps) == sheet.left_out
    assert f"… {sheet.left_out:,} events of the run are left out" in svg_ladder(sheet)


def test_of_each_sort_that_matters_the_first_is_shown() -> None:
    """However often one thing happens before another."""
    cluster = Cluster(3, min_insync_replicas=2)
    cluster.create_topic("orders")
    writer = cluster.producer("w", **ALONE)
    for number in range(12):
        cluster.lose_next_ack()
        writer.send("orders", f"m{number}")
        writer.flush()
    cluster.lose_next_request()
    writer.send("orders", "late")
    writer.flush()
    cluster.crash(3)
    cluster.advance(300)
    cluster.restart(3)
    cluster.advance(20_000)
    (sheet,) = ladder(cluster, most_rows=14).sheets
    assert len(sheet.rows) == 14
    faults = [row.fault for row in sheet.rows if row.fault]
    assert list(dict.fromkeys(faults)) == ["reply_lost", "request_lost", "crash", "restart"]
    assert any("DUPLICATE" in row.label for row in sheet.rows)


def test_the_end_of_a_fault_is_no_fault(five: Film) -> None:
    cluster = Cluster(3, deviations=[("w produces orders-0 @0 try 0", 1, "clog", "w>broker-1", 400)])
    cluster.create_topic("orders")
    writer = cluster.producer("w", **ALONE)
    writer.send("orders", "m0")
    writer.flush()
    cluster.advance(500)
    (sheet,) = ladder(cluster).sheets
    assert [(row.label, row.is_struck) for row in sheet.rows if row.fault] == [
        ("clog: w to broker-1", True),
        ("healed: w to broker-1", False),
    ]
    assert len(re.findall("◆ healed: w to broker-1", ladder(cluster).text)) == 1
    for row in ladder(five).sheets[0].rows:
        assert row.is_struck is (row.fault in ("reply_lost", "crash")), row


def test_arrows_differ_in_more_than_colour(told: dict[str, Ladder]) -> None:
    """Solid, dashed with a cross, double, dotted."""

    def arrow(name: str, style: str) -> str:
        (sheet, *_) = told[name].sheets
        number = [row.style if row.kind == ARROW else "" for row in sheet.rows].index(style) + 1
        group = re.search(rf'<g id="step-{number}" .*?</g>', svg_ladder(sheet))
        assert group is not None
        return group[0]

    assert 'stroke-dasharray="7 5"' in arrow("lost-ack", LOST)
    assert 'stroke-dasharray="2 4"' in arrow("zombie", LATE)
    assert len(re.findall(r"M[\d.]+ [\d.]+H", arrow("lost-ack", AGAIN))) == 2


def test_a_log_that_was_cut_is_hatched() -> None:
    cluster = Cluster(3, min_insync_replicas=1)
    film = watch(cluster)
    cluster.create_topic("orders")
    writer = cluster.producer("w", acks=1, enable_idempotence=False, **ALONE)
    writer.send("orders", "v0")
    writer.flush()
    cluster.advance(500)
    cluster.cut(1, 2)
    cluster.cut(1, 3)
    writer.send("orders", "v1")
    cluster.advance(300)
    cluster.crash(1)
    cluster.heal(1, 2)
    cluster.heal(1, 3)
    cluster.advance(12_000)
    cluster.restart(1)
    cluster.advance(3000)
    shown = ladder(film)
    assert "hatched: cut off the log" in shown.svg
    assert "~A=v1~" in shown.text
    assert any("your log parts from mine at offset 1" in row.label for row in shown.sheets[0].rows)
    assert faults_of_layout(shown.svg) == []


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_what_it_stands_on(mode: int) -> None:
    epochs = tuple([f"e{number}" for number in range(EPOCH_COLOURS)])
    on_bars = {"t": ("fb", "cb", *epochs), "b": ("fb",)}
    grounds = {text: ("bg", "hl", *on_bars.get(text, ())) for text in "tmbg"}
    for text, behind in grounds.items():
        for ground in behind:
            light, dark = sorted([luminance(COLOURS[name][mode]) for name in (text, ground)], reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


# --- what notebooks are given -----------------------------------------------------------------------------------------


def views_of(film: Film) -> list[View]:
    return [
        ladder(film),
        scene("mirror"),
        diff(scene(1), scene(4)),
        log_view(film, "orders"),
        verdict_card(film.cluster.check()),
        metrics_strip(film),
    ]


def test_every_view_shows_itself_three_ways(five: Film) -> None:
    for view in views_of(film_of(3, 3)):
        bundle = view._repr_mimebundle_()
        assert sorted(bundle) == ["image/svg+xml", "text/html", "text/plain"]
        root = ElementTree.fromstring(bundle["image/svg+xml"])
        assert root.get("role") == "img"
        assert root.get("style") == "max-width:100%;height:auto"  # where there is less room, all of it is seen, smaller
        assert root.find(f"{SVG}title") is not None
        assert len(root.findtext(f"{SVG}desc") or "") > 20
        assert "prefers-color-scheme" in bundle["image/svg+xml"]
        html = bundle["text/html"]
        assert "data:image/svg+xml;base64," in html
        assert re.search(r' alt="[^"]{20}', html)
        assert "<style" not in html
        for text in bundle.values():
            assert "<script" not in text
            assert not re.search(r"(?:src|href)=\"(?!data:)", text)
        assert faults_of_layout(bundle["image/svg+xml"]) == []
        view.display = "svg"
        assert sorted(view._repr_mimebundle_()) == ["image/svg+xml", "text/plain"]


def test_an_unknown_display_is_refused() -> None:
    with pytest.raises(RequestError, match="display must be one of all, svg, text, not 'html'"):
        scene(1, display="html")


def test_a_value_stands_whole_in_its_cell_where_its_rest_and_a_count_would_not_be_shorter() -> None:
    cluster = Cluster(1)
    cluster.create_topic("orders")
    writer = cluster.producer("w", **ALONE)
    for value in ("paid", "shipped", "returned"):
        writer.send("orders", value)
    writer.flush()
    assert "A0=paid A1=shipped A2=ret…+5 ┃" in log_view(cluster, "orders").text


def test_a_script_for_a_value_does_nothing_and_100_kb_are_cut_with_a_count() -> None:
    cluster = Cluster(1)
    film = watch(cluster)
    cluster.create_topic("orders")
    writer = cluster.producer("<script>&\"'", **ALONE)
    writer.send("orders", "<script>alert(1)</script>")
    writer.flush()
    writer.send("orders", b"x" * 100_000)
    writer.send("orders", b"\xff\x00\x1b[31m]]>" * 3)
    writer.flush()
    for view in (ladder(film, title="<script>"), log_view(film, "orders"), metrics_strip(film)):
        for text in view._repr_mimebundle_().values():
            assert len(text) < 120_000
        ElementTree.fromstring(view.svg)
        assert "<script" not in view.svg
        assert "<script" not in view.html
    assert "xxxxxxxxxxx…+99,989" in ladder(film).text
    assert "xxxxxxxxxxx…+99,989" in ladder(film).svg
    assert "<script>ale…+14 · seq 0" in ladder(film).text
    assert "\x1b" not in ladder(film).text


def test_a_cluster_and_a_verdict_show_themselves() -> None:
    cluster = film_of(3, 2).cluster
    assert sorted(cluster._repr_mimebundle_()) == ["image/svg+xml", "text/html", "text/plain"]
    assert "HELD" in cluster.check()._repr_mimebundle_()["image/svg+xml"]
    for empty in (Cluster(1), Cluster(1, record=False)):
        assert empty._repr_mimebundle_() == {"text/plain": repr(empty)}


def test_importing_the_library_imports_no_pictures() -> None:
    code = (
        "import sys, eventlog; c = eventlog.Cluster(); c.create_topic('t'); c.check(); import eventlog.cli;"
        "print([name for name in sys.modules if name.startswith('eventlog.views')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_looking_changes_nothing() -> None:
    def digest(is_watched: bool) -> str:
        cluster = RealCluster(3, seed=4, faults=["reply_lost", "crash"])
        film = watch(cluster) if is_watched else None
        cluster.create_topic("orders")
        writer = cluster.producer("w")
        for number in range(60):
            writer.send("orders", f"{number}")
            cluster.advance(40)
            if number % 20 == 0 and film is not None:
                ladder(film)
                cluster._repr_mimebundle_()
        cluster.recover()
        return cluster.trace_digest()

    assert digest(True) == digest(False)


# --- diff, logs, numbers ----------------------------------------------------------------------------------------------


def test_a_diff_says_where_two_runs_part_and_what_is_in_their_logs() -> None:
    one, other = scene("restart-hole").sheets
    shown = diff(Ladder([one]), Ladder([other]), ("as in Kafka", "with five"))
    assert shown.note == (
        "They are the same up to step 9 and part at step 10. The leaders' logs in the end: as in Kafka: m1 m2 m1 m2; "
        "with five: m1 m2."
    )
    assert shown.highlights == (9, 9)
    assert shown.note.split(" and ")[0] in re.sub(r"<[^>]+>", "", shown.svg)
    assert diff(scene(1), scene(1)).note.startswith("Both runs take the same 5 steps.")
    plain, idempotent = scene("mirror").sheets
    assert diff(Ladder([plain]), Ladder([idempotent])).note.startswith("They are the same up to step 4 and part at step 5.")
    (told,) = scene(1).sheets
    renumbered = told._replace(rows=(told.rows[0]._replace(label="m1 · seq 2"), *told.rows[1:]))
    assert diff(Ladder([told]), Ladder([renumbered])).highlights == (0, 0)
    with pytest.raises(RequestError, match="a diff is of two runs; this ladder shows 2 already"):
        diff(scene("mirror"), scene(1))


def test_a_log_view_needs_a_partition_that_is_there(five: Film) -> None:
    shown = log_view(five.cluster, "orders")
    assert [strip.role for strip in shown.sheet.moments[0].strips].count("leader") == 1
    assert "last_sequence 3" in shown.text
    with pytest.raises(RequestError, match="there is no topic 'nope'"):
        log_view(five.cluster, "nope")


def test_a_strip_of_numbers_ends_with_what_is_so(five: Film) -> None:
    shown = metrics_strip(five)
    values = {series.name: series.values for series in shown.series}
    assert values["in flight"][-1] == 0
    assert max(values["in flight"]) >= 2
    assert values["high_watermark"][-1] == len(five.cluster.records("orders"))
    assert f"{len(five.cluster.recorder.events):,} events in" in shown.text
    with pytest.raises(RequestError, match=r"metrics are of a Cluster, or of the film of one \(`watch`\), not of str"):
        metrics_strip("run")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="nothing was written to orders-7"):
        metrics_strip(five, "orders", 7)
    for empty in (Cluster(1), watch(Cluster(1))):
        with pytest.raises(RequestError, match=r"nothing was written$"):
            metrics_strip(empty)


@pytest.mark.parametrize("brokers", [1, 3])
def test_the_numbers_of_a_run_that_nobody_filmed_are_those_of_its_film(brokers: int) -> None:
    """A follower that crashes, comes back and catches up; another is cut off; answers are lost."""
    cluster = Cluster(brokers, min_insync_replicas=1)
    film = watch(cluster)
    cluster.create_topic("orders")
    writer = cluster.producer("w", acks=1, enable_idempotence=False, **ALONE)
    for number in range(120):
        writer.send("orders", f"{number}")
        cluster.advance(50)
        if number in (20, 80):
            cluster.lose_next_ack()
        if number == 40 and brokers > 1:
            cluster.crash(3)
        if number == 60 and brokers > 1:
            cluster.restart(3)
            cluster.cut(1, 2)
        if number == 90:
            cluster.heal()
    writer.flush()
    cluster.advance(20)
    seen, told = metrics_strip(film), metrics_strip(cluster)
    assert told.faults == seen.faults
    (flight, lag, mark), (flight_told, lag_told, mark_told) = [
        [series.values for series in strip.series] for strip in (seen, told)
    ]
    assert flight_told == flight
    assert max([abs(one - other) for one, other in zip(lag, lag_told, strict=True)]) <= 1
    # What nobody was told yet is not known yet.
    assert all(one >= other for one, other in zip(mark, mark_told, strict=True))
    assert mark_told[-1] == mark[-1] > 100
    assert mark_told[len(mark) // 8] == mark[len(mark) // 8] > 10
    assert (max(seen.series[1].values) > 20) is (brokers > 1)


def test_there_must_be_something_to_show(five: Film) -> None:
    with pytest.raises(RequestError, match="there is nothing to show: no event from 0 to 7 is worth"):
        ladder(Cluster(1))
    with pytest.raises(RequestError, match="made with record=False"):
        ladder(Cluster(1, record=False))
    with pytest.raises(RequestError, match="a ladder shows a Cluster, or the film of one"):
        ladder("run")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="nothing to show"):
        ladder(five, 7, 7)
    with pytest.raises(RequestError, match="there is no row 99"):
        ladder(five, moments=(99,))
    with pytest.raises(RequestError, match="at least 3 rows"):
        ladder(five, most_rows=1)


def test_a_page_can_be_written_of_every_ladder(tmp_path: Path, told: dict[str, Ladder]) -> None:
    for name in ("lost-ack", "mirror"):
        path = told[name].to_html(tmp_path / f"{name}.html")
        assert told[name].sheets[0].title in path.read_text()
    with pytest.raises(RequestError, match="can't be written"):
        told["lost-ack"].to_html(tmp_path / "no" / "page.html")
