//! What newer Pythons have in their standard library, and which packages give it to older ones under the same names.

/// A module, and the package that stands in for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backport {
    /// The module of the standard library.
    pub module: &'static str,
    /// Its names that came later than the module; empty for the module as a whole, whose Python `since` says.
    pub names: &'static [(&'static str, (u64, u64))],
    /// The first Python that has it.
    pub since: (u64, u64),
    /// The package's name.
    pub package: &'static str,
    /// Its module.
    pub stand_in: &'static str,
}

/// Those with the very same names and behaviour.
pub const BACKPORTS: &[Backport] = &[
    Backport { module: "tomllib", names: &[], since: (3, 11), package: "tomli", stand_in: "tomli" },
    Backport {
        module: "zoneinfo",
        names: &[],
        since: (3, 9),
        package: "backports.zoneinfo",
        stand_in: "backports.zoneinfo",
    },
    Backport {
        module: "typing",
        names: &[
            ("Annotated", (3, 9)),
            ("Concatenate", (3, 10)),
            ("LiteralString", (3, 11)),
            ("Never", (3, 11)),
            ("NotRequired", (3, 11)),
            ("ParamSpec", (3, 10)),
            ("ParamSpecArgs", (3, 10)),
            ("ParamSpecKwargs", (3, 10)),
            ("ReadOnly", (3, 13)),
            ("Required", (3, 11)),
            ("Self", (3, 11)),
            ("TypeAlias", (3, 10)),
            ("TypeAliasType", (3, 12)),
            ("TypeGuard", (3, 10)),
            ("TypeIs", (3, 13)),
            ("TypeVarTuple", (3, 11)),
            ("Unpack", (3, 11)),
            ("assert_never", (3, 11)),
            ("assert_type", (3, 11)),
            ("dataclass_transform", (3, 11)),
            ("is_typeddict", (3, 10)),
            ("override", (3, 12)),
            ("reveal_type", (3, 11)),
        ],
        since: (3, 5),
        package: "typing_extensions",
        stand_in: "typing_extensions",
    },
];

impl Backport {
    /// That of a module of the standard library.
    pub fn of(module: &str) -> Option<&'static Backport> {
        BACKPORTS.iter().find(|backport| backport.module == module)
    }
}
