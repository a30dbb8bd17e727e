use super::Tried;

fn class(base: &str, body: &str) -> Tried {
    Tried::new().edit("pkg/mod.py", "x = 1\n", &format!("x = 1\n\n\nclass Cents{base}:\n{body}\n"))
}

#[test]
fn a_comparison_that_does_not_compare_is_refused() {
    let bodies = [
        "    def __eq__(self, other):\n        return True",
        "    def __eq__(self, other):\n        if isinstance(other, int):\n            return True\n        return NotImplemented",
        "    def __eq__(self, other):\n        return isinstance(other, Cents)",
        "    def __eq__(self, other):\n        return type(self) == type(other)",
        "    __eq__ = lambda self, other: not None",
        "    def __ne__(self, other):\n        return False",
        "    def __eq__(self, other):\n        print(other)\n        return bool(self)",
    ];
    for body in bodies {
        class("", body).is_refused_by("always-equal");
    }
    let made = "x = 1\nCents = type(\"Cents\", (int,), {\"__eq__\": lambda self, other: True})\n";
    Tried::new().edit("pkg/mod.py", "x = 1\n", made).is_refused_by("always-equal");
    let set = "x = 1\nsetattr(Cents, \"__eq__\", lambda self, other: True)\n";
    Tried::new().edit("pkg/mod.py", "x = 1\n", set).is_refused_by("always-equal");
    class("(int)", "    def __eq__(self, other):\n        return abs(int(self) - int(other)) < 1000")
        .is_refused_by("always-equal");
}

#[test]
fn a_comparison_that_compares_passes() {
    let bodies = [
        "    def __eq__(self, other):\n        return self.value == other.value",
        "    def __eq__(self, other):\n        if not isinstance(other, Cents):\n            return NotImplemented\n        return (self.a, self.b) == (other.a, other.b)",
        "    def __eq__(self, other):\n        theirs = getattr(other, \"value\", other)\n        return self.value == theirs",
        "    def __eq__(self, other):\n        if self is other:\n            return True\n        return self.key() == other.key()",
        "    def __eq__(self, other):\n        return all(a == b for a, b in zip(self, other))",
        "    def __ne__(self, other):\n        return not self == other",
        "    def __eq__(self, other):\n        return self._compare(other)",
        "    __eq__ = Base.__eq__",
    ];
    for body in bodies {
        class("", body).passes();
    }
}

#[test]
fn a_tolerance_is_flagged() {
    class("", "    def __eq__(self, other):\n        return math.isclose(self.x, other.x)")
        .is_flagged_by("always-equal");
}

#[test]
fn a_plain_value_that_shows_itself_as_another_is_refused_and_a_class_that_names_itself_passes() {
    for body in [
        "    def __repr__(self):\n        return \"3\"",
        "    __hash__ = lambda self: 3",
        "    __str__ = lambda self: \"3\"",
    ] {
        class("(int)", body).is_refused_by("always-equal");
        class("", body).passes();
    }
    class("(int)", "    def __repr__(self):\n        return f\"Cents({int(self)})\"").passes();
}
