use super::Tried;

const TOKEN: &str = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
const RANDOM: &str = "k3J9xQ2mV7bN4pL8wR5t";

/// The findings about secrets, which never say one.
#[track_caller]
fn refused(tried: &Tried, rule: &str, secret: &str) {
    tried.is_refused_by(rule);
    let findings = tried.findings();
    let about: Vec<_> = findings.iter().filter(|f| f.rule.starts_with("secret-")).collect();
    assert!(about.iter().all(|f| !format!("{f:?}").contains(secret)), "{about:#?}");
}

#[test]
fn a_secret_of_the_tree_is_not_copied_into_another_file() {
    for secret in [TOKEN.to_owned(), format!("password = \"{RANDOM}\"")] {
        let tried = Tried::new().with("deploy/settings.py", &format!("X = 1\nSECRET = {secret}\n"));
        let tried = tried.add("pkg/new.py", &format!("import os\n\nPASSWORD = {secret}\n"));
        refused(&tried, "secret-copied", &secret);
        assert!(tried.findings().iter().any(|f| f.rule == "secret-copied" && f.line == Some(3)));
    }
}

#[test]
fn a_secret_of_the_tree_is_known_where_nothing_beside_it_tells() {
    let env = || Tried::new().with(".env", &format!("API_KEY={RANDOM}\n"));
    let connect = format!("from pkg.net import connect\n\n\ndef new():\n    return connect(\"{RANDOM}\")\n");
    let tried = env().add("pkg/new.py", &connect);
    refused(&tried, "secret-copied", RANDOM);
    assert!(tried.findings().iter().any(|f| f.rule == "secret-copied"));
    env().edit("pkg/new.py", &connect, &connect.replace("def new", "def anything_else_at_all")).passes();
}

#[test]
fn a_secret_does_not_stand_more_often_than_before() {
    let before = format!("TOKEN = '{TOKEN}'\n");
    let tried = Tried::new().edit("pkg/x.py", &before, &format!("{before}print('{TOKEN}')\n"));
    refused(&tried, "secret-copied", TOKEN);
}

#[test]
fn a_new_token_or_private_key_is_refused() {
    let key =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", "MIIEvQIBADANBgkqhkiG9w0B".repeat(3));
    for secret in [TOKEN, "AKIAABCDEFGHIJKLMNOP", &key] {
        refused(&Tried::new().add("pkg/new.py", &format!("X = '''{secret}'''\n")), "secret-added", secret);
    }
}

#[test]
fn a_new_value_that_only_looks_random_is_flagged() {
    let test = format!(
        "from pkg.mod import total\n\n\ndef test_new():\n    password = \"{RANDOM}\"\n    assert total([password])\n"
    );
    Tried::new().add("tests/test_new.py", &test).is_flagged_by("secret-added");
}

#[test]
fn a_secret_that_stays_in_its_file_is_no_finding() {
    let line = format!("TOKEN = '{TOKEN}'\n");
    let keys = format!("API_KEY = '{RANDOM}'\n");
    Tried::new().edit("pkg/x.py", &format!("{line}{keys}A = 1\n"), &format!("A = 2\n{keys}{line}")).passes();
    Tried::new().edit("pkg/x.py", &format!("{line}A = 1\n"), &format!("{line}A = 2\n")).passes();
    Tried::new().edit("pkg/x.py", &format!("{line}A = 1\n"), "A = 1\n").passes();
    let indented = format!("if True:\n    {line}");
    Tried::new().edit("pkg/x.py", &line, &indented).passes();
}

#[test]
fn a_renamed_file_keeps_its_secrets() {
    let text = format!("notes: {TOKEN}\n");
    Tried::new().with("deploy/a.yml", &text).delete("deploy/a.yml").add("deploy/b.yml", &text).passes();
    let edited = format!("more: 1\nnotes: {TOKEN}\n");
    Tried::new()
        .with("deploy/a.yml", &text)
        .delete("deploy/a.yml")
        .add("deploy/b.yml", &edited)
        .is_refused_by("secret-copied");
}

#[test]
fn ordinary_values_are_no_secrets() {
    let text = "URL = 'https://user:password@example.org/'\nTOKEN = get_token_from_header_2()\nCOMMIT = 'da39a3ee5e6b4b0d3255bfef95601890afd80709'\n";
    Tried::new().add("pkg/new.py", text).passes();
}

#[test]
fn a_placeholder_is_not_left_in_a_file() {
    let left = "TOKEN = '__SECRET_GITHUB_TOKEN_7F3A__'\n";
    Tried::new().add("pkg/new.py", left).is_refused_by("placeholder-left");
    Tried::new().edit("pkg/x.py", "A = 1\n", left).is_refused_by("placeholder-left");
    Tried::new().edit("pkg/x.py", left, &format!("{left}A = 1\n")).passes();
    Tried::new().add("pkg/new.py", "TOKEN = __SECRET_NAME__\n").passes();
}

#[test]
fn a_secret_is_known_where_nothing_around_it_tells() {
    let keys = format!("API_KEY = '{RANDOM}'\n");
    let copy = format!("x = '{RANDOM}'\n");
    Tried::new().with("pkg/keys.py", &keys).add("pkg/new.py", &copy).is_refused_by("secret-copied");
    Tried::new().with("pkg/keys.py", &keys).edit("pkg/x.py", "A = 1\n", &copy).is_refused_by("secret-copied");
    Tried::new().add("pkg/new.py", &copy).passes();
}
