from app.tables import field_lines, text_table


def test_columns_are_as_wide_as_their_widest_cell_and_numbers_go_right():
    text = text_table(("stage", "ms"), [("decode", "3.2"), ("infer", "12.0"), ("a long name", None)])
    assert text.splitlines() == [
        "stage          ms",
        "-----------  ----",
        "decode        3.2",
        "infer        12.0",
        "a long name",
    ]


def test_a_column_with_a_word_in_it_goes_left():
    assert text_table(("value",), [("3",), ("none",)]).splitlines()[2] == "3"


def test_fields_are_aligned():
    assert field_lines([("a", 1), ("long", "x")]) == "a     1\nlong  x"
