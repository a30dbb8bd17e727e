//! The shapes of well-known credentials: the services document their prefixes. A shape is looked for only in a text that
//! holds one of its anchors, so that its expression costs nothing elsewhere.

use std::sync::OnceLock;

use regex::Regex;

/// One kind of credential.
pub(super) struct Shape {
    /// What it is called in placeholders and findings.
    pub(super) kind: &'static str,
    /// Is it a token of one service, which nothing else looks like?
    pub(super) certain: bool,
    /// Each match holds one of these, in any case.
    pub(super) anchors: &'static [&'static str],
    /// What it looks like. The secret is the first group, or all of it where there is none.
    pattern: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Shape {
    /// Its expression, compiled when it is first needed. A test shows that all of them compile.
    pub(super) fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| Regex::new(self.pattern).ok()).as_ref()
    }
}

/// A token of one service.
const fn token(kind: &'static str, anchors: &'static [&'static str], pattern: &'static str) -> Shape {
    Shape { kind, certain: true, anchors, pattern, compiled: OnceLock::new() }
}

/// A value that its surroundings make a secret.
const fn place(kind: &'static str, anchors: &'static [&'static str], pattern: &'static str) -> Shape {
    Shape { kind, certain: false, anchors, pattern, compiled: OnceLock::new() }
}

// Classes are ASCII and borders are `(?-u:\b)`: what needs Unicode tables would be slow.
pub(super) static SHAPES: [Shape; 47] = [
    token(
        "github-token",
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"],
        r"(?-u:\b)(?:gh[pour]_[A-Za-z0-9]{16,}|ghs_[A-Za-z0-9_.-]{15,}[A-Za-z0-9_-]|github_pat_[A-Za-z0-9_]{20,})",
    ),
    token(
        "gitlab-token",
        &[
            "glpat-",
            "gldt-",
            "glptt-",
            "glrt-",
            "glrtr-",
            "glcbt-",
            "glft-",
            "glimt-",
            "glagent-",
            "gloas-",
            "glsoat-",
            "glffct-",
            "gr1348941",
        ],
        r"(?-u:\b)(?:gl(?:pat|dt|ptt|rtr?|cbt|ft|imt|agent|oas|soat|ffct)-[A-Za-z0-9_.-]{15,}[A-Za-z0-9_-]|GR1348941[A-Za-z0-9_-]{20,})",
    ),
    token("aws-access-key", &["akia", "asia", "abia", "acca"], r"(?-u:\b)(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?-u:\b)"),
    token(
        "aws-secret-key",
        &["aws", "secret_access_key", "secretaccesskey", "secret-access-key"],
        r#"(?i:aws[a-z0-9_.-]{0,20}(?:secret|key)|secret_?-?access_?-?key)[A-Za-z0-9_.-]{0,20}["'\\\]]{0,3}\s{0,8}(?:=>|:=|=|:)\s{0,8}\\?["']?([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)"#,
    ),
    token("google-api-key", &["aiza"], r"(?-u:\b)AIza[A-Za-z0-9_-]{30,}"),
    token("google-oauth", &["gocspx-", "ya29."], r"(?-u:\b)(?:GOCSPX-[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_-]{20,})"),
    token(
        "azure-key",
        &["accountkey", "sharedaccesskey"],
        r"(?i:accountkey|sharedaccesskey)\s{0,3}=\s{0,3}([A-Za-z0-9+/_~.-]{20,}={0,2})",
    ),
    token("azure-secret", &["q~"], r"(?-u:\b)[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}"),
    place("azure-signature", &["sig="], r"[?&;]sig=([A-Za-z0-9%+/_-]{20,}={0,2})"),
    token(
        "slack-token",
        &["xox", "xapp-"],
        r"(?-u:\b)(?:xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,})",
    ),
    token(
        "slack-webhook",
        &["hooks.slack.com"],
        r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9/_+-]{20,})",
    ),
    token(
        "stripe-key",
        &["sk_live_", "rk_live_", "sk_test_", "rk_test_", "whsec_"],
        r"(?-u:\b)(?:[sr]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/]{20,}={0,2})",
    ),
    token(
        "twilio-key",
        &[
            "sk0", "sk1", "sk2", "sk3", "sk4", "sk5", "sk6", "sk7", "sk8", "sk9", "ska", "skb", "skc", "skd", "ske",
            "skf",
        ],
        r"(?-u:\b)SK[0-9a-f]{32}(?-u:\b)",
    ),
    token("sendgrid-key", &["sg."], r"(?-u:\b)SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    token("mailgun-key", &["key-"], r"(?-u:\b)key-[0-9a-z]{32}(?-u:\b)"),
    token("mailchimp-key", &["-us"], r"(?-u:\b)[0-9a-f]{32}-us[0-9]{1,2}(?-u:\b)"),
    token("npm-token", &["npm_"], r"(?-u:\b)npm_[A-Za-z0-9]{30,}"),
    place(
        "npm-auth",
        &["_authtoken", "_auth", "_password"],
        r#":_(?:authToken|auth|password)\s{0,3}=\s{0,3}["']?([^\s"'${}]{8,})"#,
    ),
    token("pypi-token", &["pypi-"], r"(?-u:\b)pypi-[A-Za-z0-9_-]{30,}"),
    token("docker-token", &["dckr_"], r"(?-u:\b)dckr_[po]at_[A-Za-z0-9_-]{20,}"),
    token("digitalocean-token", &["_v1_"], r"(?-u:\b)do[opr]_v1_[a-f0-9]{32,}"),
    token("heroku-key", &["heroku", "hrku-"], r"(?-u:\b)HRKU-[A-Za-z0-9_-]{30,}"),
    token(
        "service-uuid",
        &["heroku", "codecov"],
        r#"(?i:heroku|codecov)[A-Za-z0-9_.-]{0,24}["'\\\]]{0,3}\s{0,8}(?:=>|:=|=|:|\s)\s{0,8}\\?["']?((?i:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}))"#,
    ),
    token("huggingface-token", &["hf_", "api_org_"], r"(?-u:\b)(?:hf_|api_org_)[A-Za-z0-9]{30,}"),
    token("anthropic-key", &["sk-ant-"], r"(?-u:\b)sk-ant-[A-Za-z0-9_-]{16,}"),
    token(
        "openai-key",
        &["sk-proj-", "sk-svcacct-", "sk-admin-", "sk-none-"],
        r"(?-u:\b)sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{16,}",
    ),
    // OpenAI's older ones, DeepSeek's, OpenRouter's and others' that copied the form.
    token("model-key", &["sk-"], r"(?-u:\b)sk-(?:(?:or|lf)-(?:v1-)?)?[A-Za-z0-9]{16,}"),
    token(
        "model-token",
        &["gsk_", "xai-", "r8_", "pplx-", "nvapi-", "fw_"],
        r"(?-u:\b)(?:gsk_|xai-|r8_|pplx-|fw_|nvapi-)[A-Za-z0-9_-]{24,}",
    ),
    token("jwt", &["eyj"], r"(?-u:\b)eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)?"),
    token("telegram-token", &[":aa"], r"(?-u:\b)[0-9]{8,10}:AA[A-Za-z0-9_-]{32,}"),
    token("discord-webhook", &["/api/webhooks/"], r"discord(?:app)?\.com/api/webhooks/([0-9]{5,}/[A-Za-z0-9_-]{20,})"),
    token("databricks-token", &["dapi"], r"(?-u:\b)dapi[0-9a-f]{32}(?:-[0-9])?"),
    token("vault-token", &["hvs.", "hvb.", "hvr."], r"(?-u:\b)hv[sbr]\.[A-Za-z0-9_-]{20,}"),
    token("linear-key", &["lin_"], r"(?-u:\b)lin_(?:api|oauth)_[A-Za-z0-9]{30,}"),
    token(
        "shopify-token",
        &["shpat_", "shpca_", "shppa_", "shpss_", "shpua_"],
        r"(?-u:\b)shp(?:at|ca|pa|ss|ua)_[A-Fa-f0-9]{32}",
    ),
    token("sentry-token", &["sntrys_", "sntryu_"], r"(?-u:\b)sntry[su]_[A-Za-z0-9_=+/-]{30,}"),
    token(
        "sentry-dsn",
        &["sentry"],
        r"https?://([0-9a-f]{32}(?::[0-9a-f]{32})?)@[A-Za-z0-9.-]*sentry[A-Za-z0-9.-]*(?::[0-9]+)?/[0-9]+",
    ),
    token(
        "grafana-token",
        &["glsa_", "glc_"],
        r"(?-u:\b)(?:glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}|glc_[A-Za-z0-9+/]{32,}={0,3})",
    ),
    token("atlassian-token", &["atatt3", "atctt3"], r"(?-u:\b)AT[AC]TT3[A-Za-z0-9_=-]{20,}"),
    token("postman-key", &["pmak-"], r"(?-u:\b)PMAK-[a-f0-9]{24}-[a-f0-9]{34}"),
    token("newrelic-key", &["nrak-", "nrii-", "nrjs-"], r"(?-u:\b)NR(?:AK|II|JS)-[A-Za-z0-9_-]{19,}"),
    token(
        "service-token",
        &[
            "dp.pt.",
            "dp.st.",
            "pul-",
            "sbp_",
            "tskey-",
            "figd_",
            "rubygems_",
            "nfp_",
            "ntn_",
            "age-secret-key-1",
            "phx_",
            "fm2_",
            "sq0atp-",
            "sq0csp-",
            "ops_eyj",
        ],
        r"(?-u:\b)(?:dp\.[ps]t\.[A-Za-z0-9_.]{40,}|pul-[a-f0-9]{40}|(?:sbp|rubygems|nfp|ntn|phx|figd)_[A-Za-z0-9_-]{32,}|tskey-[a-z]+-[A-Za-z0-9_-]{16,}|AGE-SECRET-KEY-1[A-Z0-9]{50,}|fm2_[A-Za-z0-9+/=_-]{60,}|sq0(?:atp|csp)-[A-Za-z0-9_-]{22,}|ops_eyJ[A-Za-z0-9+/=_-]{60,})",
    ),
    place(
        "authorization",
        &["authorization"],
        r#"(?i:authorization["'\\\]]{0,3}\s{0,8}[:=]\s{0,8}\\?["']?(?:bearer|basic|token|digest|negotiate)\s{1,8})([^\s"'{}<>$\\]{6,})"#,
    ),
    place("bearer", &["bearer "], r"(?i:(?-u:\b)bearer) ([A-Za-z0-9_.~+/-]{24,}=*)"),
    place("url-credentials", &["://"], r"[A-Za-z][A-Za-z0-9+.-]{0,30}://([^\s/@:]*:[^\s/@]+@|[A-Za-z0-9_.~%-]{20,}@)"),
    place(
        "url-parameter",
        &[
            "password=",
            "passwd=",
            "pwd=",
            "secret=",
            "token=",
            "api_key=",
            "apikey=",
            "api-key=",
            "access_key=",
            "signature=",
        ],
        r#"[?&](?i:[a-z0-9_.-]{0,20}(?:password|passwd|pwd|secret|token|api[_-]?key|access_key|signature))=([^\s&"'<>#{}$\\;,()\[\]]{6,})"#,
    ),
    place(
        "connection-string",
        &["password", "pwd"],
        r#"(?i:(?:server|host|hostname|database|dbname|data source|uid|user|user id|username)\s?=[^;,\s"'=]{1,100}[; ]\s?)(?:(?i:[a-z _]{1,20})=[^;,"'=\n]{0,100}[; ]\s?){0,6}(?i:password|pwd)\s?=\s?([^\s;,"'(){}<>$\\]{4,})"#,
    ),
];
