use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// A secret of each kind: what it looks like, and what stands around it.
const PLANTED: &[(&str, &str, &str, &str)] = &[
    ("github-token", "", "gh[pousr]_[A-Za-z0-9]{36}", ""),
    ("github-token", "", "ghs_[0-9]{6}_eyJ[a-zA-Z0-9_-]{30}\\.eyJ[A-Za-z0-9_-]{30}\\.[A-Za-z0-9_-]{30}", ""),
    ("github-token", "", "github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}", ""),
    ("gitlab-token", "", "gl(pat|dt|ptt|rt|cbt)-[A-Za-z0-9_-]{20}", ""),
    ("aws-access-key", "", "(AKIA|ASIA)[A-Z2-7]{16}", ""),
    ("aws-secret-key", "aws_secret_access_key = ", "[A-Za-z0-9/+]{40}", "\n"),
    ("aws-secret-key", "\"SecretAccessKey\": \"", "[A-Za-z0-9/+]{40}", "\""),
    ("google-api-key", "", "AIza[A-Za-z0-9_-]{35}", ""),
    ("google-oauth", "", "ya29\\.[A-Za-z0-9_-]{60}", ""),
    ("google-oauth", "", "GOCSPX-[A-Za-z0-9_-]{28}", ""),
    ("azure-key", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=", "[A-Za-z0-9+/]{86}==", ";"),
    ("azure-key", "Endpoint=sb://a.net/;SharedAccessKey=", "[A-Za-z0-9+/]{43}=", ""),
    ("azure-secret", "", "[a-z0-9]{3}8Q~[A-Za-z0-9_~.-]{33}[a-z]", ""),
    ("azure-signature", "https://a.blob.core.windows.net/c?sv=2022&sig=", "[A-Za-z0-9%]{44}%3D", "&se=2"),
    ("slack-token", "", "xox[baprs]-[0-9]{11}-[A-Za-z0-9]{24}", ""),
    ("slack-webhook", "https://hooks.slack.com/services/", "T[A-Z0-9]{8}/B[A-Z0-9]{8}/[A-Za-z0-9]{24}", ""),
    ("stripe-key", "", "[sr]k_(live|test)_[A-Za-z0-9]{24}", ""),
    ("twilio-key", "", "SK[0-9a-f]{32}", ""),
    ("sendgrid-key", "", "SG\\.[A-Za-z0-9_-]{22}\\.[A-Za-z0-9_-]{43}", ""),
    ("mailgun-key", "", "key-[0-9a-f]{32}", ""),
    ("mailchimp-key", "", "[0-9a-f]{32}-us12", ""),
    ("npm-token", "", "npm_[A-Za-z0-9]{36}", ""),
    (
        "npm-auth",
        "//registry.npmjs.org/:_authToken=",
        "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}",
        "\n",
    ),
    ("pypi-token", "", "pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{70}", ""),
    ("docker-token", "", "dckr_(pat|oat)_[A-Za-z0-9_-]{27}", ""),
    ("digitalocean-token", "", "do[opr]_v1_[a-f0-9]{64}", ""),
    ("heroku-key", "", "HRKU-AA[A-Za-z0-9_-]{58}", ""),
    ("service-uuid", "HEROKU_API_KEY=", "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", ""),
    ("service-uuid", "CODECOV_TOKEN: '", "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "'"),
    ("huggingface-token", "", "hf_[A-Za-z]{34}", ""),
    ("anthropic-key", "", "sk-ant-api03-[A-Za-z0-9_-]{93}AA", ""),
    ("openai-key", "", "sk-(proj|svcacct|admin)-[A-Za-z0-9_-]{48}", ""),
    ("model-key", "", "sk-[a-f0-9]{32}", ""),
    ("model-key", "", "sk-or-v1-[a-f0-9]{64}", ""),
    ("model-token", "", "gsk_[A-Za-z0-9]{52}", ""),
    ("jwt", "", "eyJ[A-Za-z0-9_-]{33}\\.eyJ[A-Za-z0-9_-]{60}\\.[A-Za-z0-9_-]{43}", ""),
    ("telegram-token", "", "[0-9]{10}:AA[A-Za-z0-9_-]{33}", ""),
    ("discord-webhook", "https://discord.com/api/webhooks/", "[0-9]{18}/[A-Za-z0-9_-]{68}", ""),
    ("databricks-token", "", "dapi[0-9a-f]{32}", ""),
    ("vault-token", "", "hvs\\.[A-Za-z0-9_-]{90}", ""),
    ("linear-key", "", "lin_api_[A-Za-z0-9]{40}", ""),
    ("shopify-token", "", "shp(at|ca|pa|ss)_[a-f0-9]{32}", ""),
    ("sentry-token", "", "sntryu_[a-f0-9]{64}", ""),
    ("sentry-dsn", "https://", "[0-9a-f]{32}", "@o1.ingest.sentry.io/22"),
    ("grafana-token", "", "glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}", ""),
    ("atlassian-token", "", "ATATT3xFfGF0[A-Za-z0-9_-]{60}", ""),
    ("postman-key", "", "PMAK-[a-f0-9]{24}-[a-f0-9]{34}", ""),
    ("newrelic-key", "", "NRAK-[A-Z0-9]{27}", ""),
    ("service-token", "", "dp\\.pt\\.[A-Za-z0-9]{43}", ""),
    ("service-token", "", "pul-[a-f0-9]{40}", ""),
    ("authorization", "Authorization: Basic ", "[A-Za-z0-9+/]{22}", ""),
    ("authorization", "'authorization': 'token ", "[A-Za-z0-9]{12}", "'"),
    ("bearer", "-H \"X: Bearer ", "[A-Za-z0-9_.-]{32}", "\""),
    ("url-credentials", "postgres://", "[a-z]{4,8}:[A-Za-z0-9!$%]{8,12}@", "db.example.com:5432/app"),
    ("url-credentials", "https://", "[A-Za-z0-9]{24}@", "github.com/o/r.git"),
    ("url-parameter", "https://a.org/x?user=me&password=", "[A-Za-z0-9]{8,20}", "&y=1"),
    (
        "connection-string",
        "Server=tcp:db.org,1433;Database=a;User Id=me;Password=",
        "[A-Za-z0-9!]{8,20}",
        ";Encrypt=True",
    ),
    ("connection-string", "host=db.org dbname=a user=me password=", "[A-Za-z0-9!]{8,20}", " sslmode=require"),
    ("assigned-secret", "API_KEY = \"", "([a-z][A-Z][0-9]){8}", "\""),
    ("assigned-secret", "{\\\"clientSecret\\\": \\\"", "([a-z]{2}[0-9][A-Z]){6}", "\\\"}"),
    ("assigned-secret", "db-password: ", "([A-Z][0-9][a-z]){7}", "\n"),
    ("assigned-secret", "auth_token => '", "(0a|1b|2c|3d|4e|5f|68|79)[0-9a-f]{20}abcdef01234567", "'"),
    ("assigned-secret", "token: str = b'", "([A-Z][0-9][a-z]){7}", "'"),
    ("assigned-secret", "run --password ", "([A-Z][0-9][a-z]){7}", " -v"),
    ("assigned-secret", "SECRET_KEY = SecretStr('", "([A-Z][0-9][a-z]){7}", "')"),
    (
        "private-key",
        "",
        "-----BEGIN (RSA |EC |OPENSSH |)PRIVATE KEY-----\n([A-Za-z0-9+/]{64}\n){3}[A-Za-z0-9+/]{20}==\n-----END (RSA|EC) PRIVATE KEY-----",
        "\n",
    ),
    (
        "private-key",
        "\"private_key\": \"",
        "-----BEGIN PRIVATE KEY-----\\\\n([A-Za-z0-9+/]{64}\\\\n){3}[A-Za-z0-9+/]{22}==\\\\n-----END PRIVATE KEY-----",
        "\\n\"",
    ),
    ("private-key", "", "-----BEGIN PRIVATE KEY-----\n([A-Za-z0-9+/]{64}\n){3}", "and the log goes on"),
    (
        "private-key",
        "the log was cut:\n",
        "([A-Za-z0-9+/]{64}\n){3}[A-Za-z0-9+/]{20}==\n-----END PRIVATE KEY-----",
        "\n",
    ),
];

/// A planted secret: its kind, what stands before it, itself, and what stands after it.
fn planted() -> impl Strategy<Value = (&'static str, &'static str, String, &'static str)> {
    prop::sample::select(PLANTED).prop_flat_map(|(kind, before, secret, after)| {
        let secret = prop::string::string_regex(secret).unwrap();
        secret.prop_map(move |secret| (kind, before, secret, after))
    })
}

/// Any text with secrets in it, what may break them, and pieces of placeholders.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => planted().prop_map(|(_, before, secret, after)| format!("{before}{secret}{after}")),
        2 => "(?s).{0,20}",
        2 => prop::sample::select(vec![
            "__SECRET_GITHUB_TOKEN_7F3A__", "__SECRET_JWT_00FF_2__", "__SECRET_", "__", "_", "SECRET_JWT_00FF__", "__SECRET_JWT", "_2__",
            "-----BEGIN PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----", "password = ", "://", "@", "é", "\"", "\\n",
        ]).prop_map(str::to_owned),
        2 => Just(" ".to_owned()),
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

#[test]
fn every_shape_compiles_and_has_a_planted_example() {
    let planted: BTreeSet<&str> = PLANTED.iter().map(|p| p.0).collect();
    for shape in &SHAPES {
        assert!(shape.regex().is_some() && !shape.anchors.is_empty(), "{}", shape.kind);
        assert!(planted.contains(shape.kind), "{}", shape.kind);
        assert!(shape.anchors.iter().all(|a| *a == a.to_ascii_lowercase()), "{}", shape.kind);
    }
    assert!(ANCHORS.is_some() && PLACEHOLDER.is_some());
}

#[test]
fn credentials_of_every_known_shape_are_redacted_and_the_rest_stays() {
    for secret in [
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "github_pat_11ABCDEFG0abcdefghijklmnop",
        "sk-abcdefghijklmnopqrstuvwx",
        "AKIAABCDEFGHIJKLMNOP",
        "Authorization: Bearer abc.def",
    ] {
        let redacted = redact(&format!("before {secret} after"));
        assert!(redacted.starts_with("before ") && redacted.ends_with(" after"), "{redacted}");
        assert!(redacted.contains("[redacted]") && !redacted.contains(secret), "{redacted}");
    }
    assert_eq!(redact("https://user:pass@host/x"), "https://[redacted]host/x");
    assert_eq!(redact("tests/test_a.py:12: AssertionError"), "tests/test_a.py:12: AssertionError");
}

#[test]
fn ordinary_code_and_logs_hold_no_secret() {
    for text in [
        "token = get_token_from_header(request)",
        "token = get_access_token_from_header_2",
        "commit = \"da39a3ee5e6b4b0d3255bfef95601890afd80709\"",
        "cache-key: setup-python-Linux-24.04-python-3.12.1-pip-0f3c6b2a9d8e7f605142332415067890abcdef12345678900987654321fedcba",
        "key: sha256:0f3c6b2a9d8e7f605142332415067890abcdef12345678900987654321fedcba",
        "    --hash=sha256:0f3c6b2a9d8e7f605142332415067890abcdef12345678900987654321fedcba",
        "token_id = '123e4567-e89b-12d3-a456-426614174000'",
        "PASSWORD = os.environ['DATABASE_PASSWORD_2024_OLD']",
        "password: ${{ secrets.PYPI_API_TOKEN_2 }}",
        "api_key = \"$OPENAI_API_KEY_FOR_TESTS_01\"",
        "tests/test_auth.py::test_token_key[token=abc-123-def-456-ghi] PASSED",
        "author = 'Somebody of 2024, somewhere in 12345'",
        "monkey: aB3dE5fG7hJ9kL1mN3pQ5rS7tU9v",
        "secret = /usr/lib/python3.12/site-packages/secrets_2/vault.py",
        "AUTH_USER_MODEL = \"accounts.CustomUserModel2\"",
        "if text.startswith(\"-----BEGIN PRIVATE KEY-----\"):",
        "SECRET_KEY = \"django-insecure-placeholder-value-for-tests\"",
        "primary_key = 'aB3dE5fG7hJ9kL1mN3pQ5rS7tU9v'",
        "private_key: PKCS7PrivateKeyTypes",
        "PrivateKey = rust_openssl.hpke.MLKEM1024P384PrivateKey",
        "def login(host, user=None, password=None, usenetrc=True):",
        "see sk-learn and task-management-of-many-things",
        "password = \"__SECRET_GITHUB_TOKEN_7F3A__\"",
    ] {
        assert_eq!(redact(text), text);
        assert!(secrets(text).is_empty(), "{text}");
    }
}

#[test]
fn a_found_value_is_hidden_wherever_else_it_stands() {
    let text = "password = 'k3J9xQ2mV7bN4pL8'\nassert 'k3J9xQ2mV7bN4pL8' == read()";
    assert_eq!(redact(text), "password = '[redacted]'\nassert '[redacted]' == read()");
}

#[test]
fn secrets_of_the_environment_are_found_as_they_are_and_encoded() {
    let variables = [
        ("DEEPSEEK_API_KEY", "opensesame/1 + 2"),
        ("Ci_Job_Token", "correct-horse"),
        ("DB_PASSWORD", "postgres"),
        ("SECRET", "short"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/etc/google/key.json"),
        ("TOKEN_URL", "https://example.org/token"),
        ("HOME", "/root/somewhere"),
        ("TOKEN_LIFETIME", "86400000"),
        ("DEPLOY_PRIVATE_KEY", "-----BEGIN PRIVATE KEY-----\nabcdefghijklmnopqrstuvwxyz\n-----END PRIVATE KEY-----"),
    ];
    let known = Known::of(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let count = |text: &str| known.find(text).count();
    for text in [
        "opensesame/1 + 2",
        "opensesame%2F1%20%2B%202",
        "opensesame%2f1%20%2b%202",
        "opensesame/1%20%2B%202",
        "opensesame%2F1+%2B+2",
        "b3BlbnNlc2FtZS8xICsgMg==",
        "dXNlcjpvcGVuc2VzYW1lLzEgKyAyLA==",
        "eDpvcGVuc2VzYW1lLzEgKyAyLA==",
        "correct-horse",
        "abcdefghijklmnopqrstuvwxyz",
    ] {
        assert_eq!(count(text), 1, "{text}");
    }
    for text in
        ["postgres", "short", "/etc/google/key.json", "https://example.org/token", "/root/somewhere", "86400000"]
    {
        assert_eq!(count(text), 0, "{text}");
    }
}

#[test]
fn configured_expressions_are_secrets_everywhere() {
    configure(&["zzq-[0-9]+-qzz".to_owned()]).unwrap();
    assert_eq!(shown("a zzq-12-qzz b", 100), "a [redacted] b");
    assert!(is_certain(secrets("zzq-123456789-qzz")[0].0));
    let redactor = Redactor::new(&["yyq[0-9]+".to_owned()]).unwrap();
    let redacted = redactor.redact("yyq1 zzq-1-qzz");
    assert!(!redacted.contains("yyq") && !redacted.contains("zzq"), "{redacted}");
    assert_eq!(redactor.restore(&redacted), "yyq1 zzq-1-qzz");
}

#[test]
fn an_expression_that_cannot_be_used_is_named() {
    for bad in ["a*", "\\b", "(", "[", "|x", &"x".repeat(2000), "(a{1000}){1000}"] {
        let error = Redactor::new(&["fine".to_owned(), bad.to_owned()]).err().unwrap();
        assert!(error.contains(&bad[..bad.len().min(10)]), "{error}");
        assert!(configure(&[bad.to_owned()]).is_err());
    }
    assert!(Redactor::new(&vec!["x".to_owned(); 100]).is_err());
}

#[test]
fn the_same_value_has_the_same_placeholder() {
    let redactor = Redactor::new(&[]).unwrap();
    let (one, two) = ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "AKIAABCDEFGHIJKLMNOP");
    let redacted = redactor.redact(&format!("{one} {two} {one}"));
    let words: Vec<&str> = redacted.split(' ').collect();
    assert!(words[0].starts_with("__SECRET_GITHUB_TOKEN_") && words[0].ends_with("__"), "{redacted}");
    assert!(words[1].starts_with("__SECRET_AWS_ACCESS_KEY_"), "{redacted}");
    assert_eq!(words[0], words[2]);
    assert_eq!(redactor.redact(two), words[1]);
    assert_eq!(
        redactor.restore(&format!("x{}y __SECRET_JWT_0000__", words[1])),
        format!("x{two}y __SECRET_JWT_0000__")
    );
    let counts: Vec<(String, usize)> = redactor.counts().into_iter().collect();
    assert_eq!(counts, [("aws-access-key".to_owned(), 1), ("github-token".to_owned(), 1)]);
}

#[test]
fn a_placeholder_hangs_on_the_value_alone() {
    let redactor = || Redactor::new(&[]).unwrap();
    let (one, two) = ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "AKIAABCDEFGHIJKLMNOP");
    let (first, second) = (redactor(), redactor());
    first.redact(one);
    assert_eq!(first.redact(two), second.redact(two));
    assert_eq!(first.redact(one), second.redact(one));
    // Nor on what stands around it: one value, told to be a secret by two names.
    let value = "k3J9xQ2mV7bN4pL8wR5tZ6yH1gF0dS9aK4cT7uE2";
    let (first, second) = (redactor(), redactor());
    let placeholder = |redactor: &Redactor, before: &str| {
        let redacted = redactor.redact(&format!("{before} = '{value}'"));
        assert!(!redacted.contains(value), "{redacted}");
        redacted.split('\'').nth(1).unwrap().to_owned()
    };
    let expected = placeholder(&first, "aws_secret_access_key");
    assert_eq!(placeholder(&second, "password"), expected);
    assert_eq!(second.counts()["assigned-secret"], 1);
}

#[test]
fn of_two_values_with_one_placeholder_the_later_gets_a_number() {
    let redactor = Redactor::new(&["v[0-9]+v".to_owned()]).unwrap();
    let values: Vec<String> = (0..1200).map(|n| format!("v{n}v")).collect();
    let placeholders: Vec<String> = values.iter().map(|value| redactor.redact(value)).collect();
    assert!(placeholders.iter().any(|p| p.ends_with("_2__")), "1200 values of 65536 hashes collide");
    assert_eq!(placeholders.iter().collect::<BTreeSet<_>>().len(), values.len());
    for (value, placeholder) in values.iter().zip(&placeholders) {
        assert_eq!(redactor.restore(placeholder), *value);
        assert_eq!(redactor.redact(placeholder), *placeholder);
    }
}

#[test]
fn a_placeholder_that_was_forged_before_its_value_was_seen_is_not_used_for_it() {
    let token = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
    let forged = Redactor::new(&[]).unwrap().redact(token);
    let redactor = Redactor::new(&[]).unwrap();
    let literal = redactor.redact(&forged);
    assert_ne!(redactor.redact(token), forged);
    assert_eq!(redactor.restore(&literal), forged);
    assert_eq!(redactor.restore(&redactor.redact(&forged)), forged);
}

#[test]
fn a_forged_placeholder_never_becomes_a_secret() {
    let redactor = Redactor::new(&[]).unwrap();
    let token = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
    let forged = "__SECRET_GITHUB_TOKEN_0000__ __SECRET_GITHUB_TOKEN__";
    let redacted = redactor.redact(&format!("{token} {forged} __SECRET_{token}"));
    let shown = redactor.restore(redacted.split_once(' ').unwrap().1);
    assert!(shown.starts_with(forged), "{shown}");
    assert_eq!(redactor.counts(), [("github-token".to_owned(), 1)].into(), "what is forged is no secret");
}

#[test]
fn a_value_that_was_seen_is_found_without_its_surroundings() {
    let redactor = Redactor::new(&[]).unwrap();
    redactor.redact("password = 'k3J9xQ2mV7bN4pL8'");
    assert!(!redactor.redact("got k3J9xQ2mV7bN4pL8!").contains("k3J9"));
}

#[test]
fn secrets_of_the_process_are_reversible_too() {
    let known = Known::values(["correct-horse".to_owned()]);
    let mut redactor = Redactor::new(&[]).unwrap();
    redactor.known = Box::leak(Box::new(known));
    let redacted = redactor.redact("say correct-horse");
    assert!(redacted.starts_with("say __SECRET_ENVIRONMENT_"), "{redacted}");
    assert_eq!(redactor.restore(&redacted), "say correct-horse");
}

#[test]
fn a_megabyte_of_anchors_is_read() {
    // No time is measured: what is not linear would never end here.
    for piece in
        ["key=", "token: \"", "-----BEGIN PRIVATE KEY-----\n", "a://b:c", "sk-", "eyJ.", "password=\\\"", "__SECRET_"]
    {
        let text = piece.repeat(1_000_000 / piece.len());
        assert!(redact(&text).len() <= text.len() * 3);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_planted_secret_of_any_kind_is_found_and_survives_nowhere(
        (kind, before, secret, after) in planted(), around in "[a-z ,.]{0,20}",
    ) {
        let text = format!("{around} {before}{secret}{after} {around}");
        prop_assert!(!redact(&text).contains(secret.as_str()), "{}", text);
        prop_assert!(!shown(&text, 10_000).contains(secret.as_str()));
        let redactor = Redactor::new(&[]).unwrap();
        let redacted = redactor.redact(&text);
        prop_assert!(!redacted.contains(secret.as_str()));
        prop_assert_eq!(redactor.restore(&redacted), text.clone());
        let kinds: Vec<_> = found(&text, &[], &Known::default()).into_iter().map(|s| s.kind).collect();
        prop_assert!(kinds.contains(&kind) || kinds.iter().any(|k| is_certain(k)), "{:?} {}", kinds, text);
    }

    #[test]
    fn what_is_restored_is_what_was_redacted(texts in prop::collection::vec(hostile(), 1..4)) {
        let redactor = Redactor::new(&[]).unwrap();
        let redacted: Vec<String> = texts.iter().map(|text| redactor.redact(text)).collect();
        for (text, redacted) in texts.iter().zip(&redacted) {
            prop_assert_eq!(&redactor.restore(redacted), text);
            prop_assert_eq!(&redactor.restore(&redactor.redact(redacted)), text);
        }
    }

    #[test]
    fn redacting_twice_is_redacting_once(text in hostile()) {
        let redactor = Redactor::new(&[]).unwrap();
        let once = redactor.redact(&text);
        prop_assert_eq!(redactor.redact(&once), once);
    }

    #[test]
    fn no_text_reaches_the_terminal_with_an_escape_in_it(text in "(?s).{0,200}") {
        let shown = shown(&text, 100);
        prop_assert!(shown.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
        prop_assert!(shown.chars().count() <= 101);
    }
}

#[test]
fn what_was_learned_is_known_in_parts_and_other_dresses_and_counts_where_it_is_hidden() {
    let lines = ["MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3S", "NMoSfm76oqFvAp8Gy0iz5sxjZmSnXyCd"];
    let key = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    let token = "Zk3vQ9xW2mLp8RtY5nHb";
    let texts = [key.clone(), format!("api_key = '{token}'\n")];
    let redactors = [Redactor::new(&[]).unwrap(), Redactor::new(&[]).unwrap()];
    for redactor in &redactors {
        redactor.learn(texts.clone());
        assert!(redactor.counts().is_empty());
    }
    let part = format!("   5\t{}\n+{}\nx = {token}\n", lines[0], lines[1]);
    let hidden = redactors[0].redact(&part);
    assert!(![lines[0], lines[1], token].iter().any(|secret| hidden.contains(secret)), "{hidden}");
    assert_eq!(redactors[0].restore(&hidden), part);
    // Another run that learned the same, and first meets another part, understands the same placeholders.
    redactors[1].redact(token);
    assert_eq!(redactors[1].restore(&hidden), part);
    assert_eq!(redactors[0].counts().values().sum::<usize>(), 3);
    let encoded = redactors[0].redact("WmszdlE5eFcybUxwOFJ0WTVuSGI=");
    assert!(!encoded.contains("WmszdlE5"), "{encoded}");
}
