//! registry: looking a package up in the index before it may be added. Nothing is installed and nothing of a package is
//! run here; the index's own words (PEP 691, PEP 700) and a wheel's file list are all that is read.

pub mod backports;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Cursor,
    str::FromStr,
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use pep440_rs::{Version, VersionSpecifiers};
use reqwest::{Client, Url, header::ACCEPT, redirect};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The index that is asked where nothing else is configured.
pub const DEFAULT_INDEX: &str = "https://pypi.org/simple";

const LARGEST_PAGE: u64 = 48 << 20;
const LARGEST_WHEEL: u64 = 64 << 20;
const MOST_REDIRECTS: usize = 5;
const TIMEOUT: Duration = Duration::from_secs(60);
const YOUNGEST: u64 = 90 * 24 * 60 * 60;

static POPULAR: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    include_str!("../data/popular-packages.txt").lines().filter(|line| !line.starts_with('#')).collect()
});

/// Why a package was not looked up, or may not be added.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum RegistryError {
    #[error("the index address is no http(s) address")]
    Address,
    #[error("`{0}` is no package name")]
    Name(String),
    #[error("the index can't be reached: {0}")]
    Unreachable(String),
    #[error("the index has no package `{0}`")]
    Unknown(String),
    #[error("the index's answer about `{0}` can't be read: {1}")]
    Answer(String, String),
    #[error("the index does not say when `{0}` was first uploaded")]
    Undated(String),
    #[error("`{0}` was first uploaded less than 90 days ago")]
    Young(String),
    #[error("`{0}` is one letter away from the popular `{1}`")]
    NearName(String, String),
    #[error("`{0}` has no stable version for this Python")]
    NoVersion(String),
    #[error("`{0}` {1} has no wheel that shows what it provides")]
    NoWheel(String, String),
    #[error("`{0}` {1} does not provide the module `{2}`")]
    NotProvided(String, String, String),
}

/// An index of packages.
#[derive(Debug, Clone)]
pub struct Registry {
    index: Url,
    client: Client,
}

/// A package as the index describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Normalised.
    pub name: String,
    /// When its first file was uploaded.
    pub first_upload: Option<SystemTime>,
    /// The newest stable version that is not withdrawn, whatever the Python.
    pub newest_stable: Option<String>,
    /// All files.
    pub files: Vec<PackageFile>,
}

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFile {
    /// `rich-13.7.1-py3-none-any.whl`.
    pub name: String,
    /// Absolute, or relative to the package's page.
    pub url: String,
    /// In hex, where the index says it.
    pub sha256: Option<String>,
    /// Where the index says it.
    pub size: Option<u64>,
    /// `>=3.8`.
    pub requires_python: Option<String>,
    /// Was it withdrawn?
    pub yanked: bool,
    /// Read from its name.
    pub version: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    files: Vec<PageFile>,
}

#[derive(Deserialize)]
struct PageFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    size: Option<u64>,
    #[serde(rename = "requires-python")]
    requires_python: Option<String>,
    #[serde(default)]
    yanked: serde_json::Value,
    #[serde(rename = "upload-time")]
    upload_time: Option<String>,
}

impl Registry {
    /// An index by its address. Credentials in it are dropped: they are neither sent nor shown.
    pub fn new(index_url: &str) -> Result<Registry, RegistryError> {
        let mut index = Url::parse(index_url.trim()).map_err(|_| RegistryError::Address)?;
        if !matches!(index.scheme(), "http" | "https") || index.host_str().is_none() {
            return Err(RegistryError::Address);
        }
        index.set_username("").and_then(|()| index.set_password(None)).map_err(|()| RegistryError::Address)?;
        index.set_query(None);
        index.set_fragment(None);
        let path = format!("{}/", index.path().trim_end_matches('/'));
        index.set_path(&path);
        // Another crate may have installed one already; either will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let policy = redirect::Policy::custom(|attempt| {
            let downgrade = attempt.url().scheme() != "https"
                && attempt.previous().iter().any(|previous| previous.scheme() == "https");
            match attempt.previous().len() > MOST_REDIRECTS || downgrade {
                true => attempt.error("too many redirects, or one to a less safe address"),
                false => attempt.follow(),
            }
        });
        let client = Client::builder()
            .redirect(policy)
            .timeout(TIMEOUT)
            .connect_timeout(Duration::from_secs(15))
            .user_agent(concat!("test-repair/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(unreachable)?;
        Ok(Registry { index, client })
    }

    /// The index of `PIP_INDEX_URL`, or the default one.
    pub fn from_env() -> Result<Registry, RegistryError> {
        let configured = std::env::var("PIP_INDEX_URL").ok().filter(|url| !url.trim().is_empty());
        Registry::new(configured.as_deref().unwrap_or(DEFAULT_INDEX))
    }

    /// The index's address, without credentials.
    pub fn index(&self) -> &str {
        self.index.as_str()
    }

    /// What the index knows of a package.
    pub async fn look_up(&self, name: &str) -> Result<Package, RegistryError> {
        let name = check_name(name)?;
        let page = self.page(&name)?;
        let request = self.client.get(page).header(ACCEPT, "application/vnd.pypi.simple.v1+json");
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if matches!(status.as_u16(), 404 | 410) {
            return Err(RegistryError::Unknown(name));
        }
        if !status.is_success() {
            return Err(RegistryError::Unreachable(format!("it answered {}", status.as_u16())));
        }
        let body = bounded(response, LARGEST_PAGE).await?;
        let page: Page =
            serde_json::from_slice(&body).map_err(|error| RegistryError::Answer(name.clone(), error.to_string()))?;
        Ok(package(name, page))
    }

    /// Everything that must hold before a package may be added for a missing module: it exists, is older than 90
    /// days, is no near-name of a popular one, and its newest stable version for this Python provides the module.
    /// Gives the package and that version.
    pub async fn admit(
        &self,
        name: &str,
        module: &str,
        python: Option<&str>,
        now: SystemTime,
    ) -> Result<(Package, Version), RegistryError> {
        let package = self.known(name, now).await?;
        let newest = package.newest_for(python).ok_or_else(|| RegistryError::NoVersion(package.name.clone()))?;
        self.provides(&package, &newest, module).await?;
        Ok((package, newest))
    }

    /// What must hold of any package that is added: it exists, is older than 90 days, and is no near-name of a popular
    /// one.
    pub async fn known(&self, name: &str, now: SystemTime) -> Result<Package, RegistryError> {
        let normalised = check_name(name)?;
        if let Some(popular) = near_name(&normalised) {
            return Err(RegistryError::NearName(normalised, popular.to_owned()));
        }
        let package = self.look_up(&normalised).await?;
        let first = package.first_upload.ok_or_else(|| RegistryError::Undated(normalised.clone()))?;
        if now.duration_since(first).map_or(true, |age| age.as_secs() < YOUNGEST) {
            return Err(RegistryError::Young(normalised));
        }
        Ok(package)
    }

    /// Shows by the file list of a version's smallest wheel that a package provides a top-level module.
    pub async fn provides(&self, package: &Package, version: &Version, module: &str) -> Result<(), RegistryError> {
        let no_wheel = || RegistryError::NoWheel(package.name.clone(), version.to_string());
        let of_version = |file: &&PackageFile| {
            file.name.ends_with(".whl")
                && !file.yanked
                && file.version.as_deref().and_then(|named| Version::from_str(named).ok()).as_ref() == Some(version)
        };
        let wheel = package.files.iter().filter(of_version).min_by_key(|file| file.size.unwrap_or(u64::MAX));
        let wheel = wheel.ok_or_else(no_wheel)?;
        let url = self.page(&package.name)?.join(&wheel.url).map_err(|_| no_wheel())?;
        let downgrade = self.index.scheme() == "https" && url.scheme() != "https";
        if downgrade || !matches!(url.scheme(), "http" | "https") {
            return Err(no_wheel());
        }
        let response = self.client.get(url).send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(RegistryError::Unreachable(format!("the wheel: it answered {}", response.status().as_u16())));
        }
        let body = bounded(response, LARGEST_WHEEL).await?;
        if let Some(expected) = &wheel.sha256 {
            let digest = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            if !digest.eq_ignore_ascii_case(expected) {
                return Err(RegistryError::Answer(package.name.clone(), "a wheel differs from its hash".to_owned()));
            }
        }
        let archive = zip::ZipArchive::new(Cursor::new(body)).map_err(|_| no_wheel())?;
        if archive.file_names().flatten().any(|file| is_of_module(&file, module)) {
            return Ok(());
        }
        Err(RegistryError::NotProvided(package.name.clone(), version.to_string(), module.to_owned()))
    }

    fn page(&self, name: &str) -> Result<Url, RegistryError> {
        self.index.join(&format!("{name}/")).map_err(|_| RegistryError::Address)
    }
}

impl Package {
    /// The newest stable version that is not withdrawn and that this Python (`3.11`, `3.11.7`) may install.
    pub fn newest_for(&self, python: Option<&str>) -> Option<Version> {
        let python = python.and_then(|python| Version::from_str(python).ok());
        let fits = |file: &&PackageFile| match (&python, &file.requires_python) {
            (Some(python), Some(requires)) => {
                VersionSpecifiers::from_str(requires).map_or(true, |requires| requires.contains(python))
            }
            _ => true,
        };
        let versions = self.files.iter().filter(|file| !file.yanked).filter(fits);
        versions.filter_map(|file| Version::from_str(file.version.as_deref()?).ok()).filter(Version::is_stable).max()
    }
}

/// A name as PEP 503 compares it.
pub fn normalise(name: &str) -> String {
    let mut result = String::with_capacity(name.len());
    for each in name.chars() {
        match each {
            '-' | '_' | '.' if result.ends_with('-') => {}
            '-' | '_' | '.' => result.push('-'),
            _ => result.push(each.to_ascii_lowercase()),
        }
    }
    result
}

/// The popular package that a name is one letter away from, unless it is popular itself.
pub fn near_name(name: &str) -> Option<&'static str> {
    let name = normalise(name);
    if POPULAR.contains(name.as_str()) {
        return None;
    }
    POPULAR.iter().copied().find(|popular| one_letter_apart(&name, popular))
}

/// One letter more, less, other, or two neighbours swapped.
fn one_letter_apart(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() > right.len() + 1 || right.len() > left.len() + 1 || left == right {
        return false;
    }
    let start = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    let (left, right) = (&left[start..], &right[start..]);
    match left.len().cmp(&right.len()) {
        std::cmp::Ordering::Less => left == &right[1..],
        std::cmp::Ordering::Greater => &left[1..] == right,
        std::cmp::Ordering::Equal => {
            let swapped = left.len() > 1 && left[0] == right[1] && left[1] == right[0] && left[2..] == right[2..];
            left[1..] == right[1..] || swapped
        }
    }
}

fn check_name(name: &str) -> Result<String, RegistryError> {
    let plain = |each: char| each.is_ascii_alphanumeric() || matches!(each, '-' | '_' | '.');
    let ends = |each: Option<char>| each.is_some_and(|each| each.is_ascii_alphanumeric());
    if name.len() <= 128 && name.chars().all(plain) && ends(name.chars().next()) && ends(name.chars().next_back()) {
        return Ok(normalise(name));
    }
    Err(RegistryError::Name(name.chars().take(40).collect()))
}

fn package(name: String, page: Page) -> Package {
    let first_upload = page.files.iter().filter_map(|file| instant(file.upload_time.as_deref()?)).min();
    let files = page.files.into_iter().map(|file| PackageFile {
        version: version_of(&file.filename, &name),
        name: file.filename,
        url: file.url,
        sha256: file.hashes.get("sha256").cloned(),
        size: file.size,
        requires_python: file.requires_python,
        yanked: !matches!(file.yanked, serde_json::Value::Null | serde_json::Value::Bool(false)),
    });
    let mut package = Package { files: files.collect(), name, first_upload, newest_stable: None };
    package.newest_stable = package.newest_for(None).map(|version| version.to_string());
    package
}

/// The version in the name of a wheel or an sdist.
fn version_of(file: &str, name: &str) -> Option<String> {
    if let Some(stem) = file.strip_suffix(".whl") {
        return stem.split('-').nth(1).map(str::to_owned);
    }
    let stem = [".tar.gz", ".zip", ".tar.bz2", ".tgz"].iter().find_map(|extension| file.strip_suffix(extension))?;
    let matching = stem.match_indices('-').find(|(at, _)| normalise(&stem[..*at]) == name)?;
    Some(stem[matching.0 + 1..].to_owned())
}

/// Does a file of a wheel make a top-level module importable?
fn is_of_module(file: &str, module: &str) -> bool {
    let mut parts: Vec<&str> = file.split('/').collect();
    if parts.len() > 2 && parts[0].ends_with(".data") && matches!(parts[1], "purelib" | "platlib") {
        parts.drain(..2);
    }
    // A package of stubs (PEP 561) holds no code.
    let extensions: &[&str] = if module.ends_with("-stubs") { &[".pyi"] } else { &[".py", ".so", ".pyd"] };
    let code = |name: &str| extensions.iter().any(|extension| name.ends_with(extension));
    match parts.as_slice() {
        [single] => code(single) && single.split('.').next() == Some(module),
        [top, .., last] => *top == module && code(last),
        [] => false,
    }
}

/// `2020-01-02T03:04:05.678901Z`, as PEP 700 writes it.
fn instant(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}

/// An error's causes without addresses: those may hold credentials of a redirect.
fn unreachable(error: reqwest::Error) -> RegistryError {
    let error = error.without_url();
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        said = format!("{said}: {next}");
        cause = next.source();
    }
    RegistryError::Unreachable(said.chars().take(300).collect())
}

async fn bounded(mut response: reqwest::Response, most: u64) -> Result<Vec<u8>, RegistryError> {
    let too_large = || RegistryError::Unreachable(format!("the answer is larger than {} MiB", most >> 20));
    if response.content_length().is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if (body.len() + chunk.len()) as u64 > most {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
#[cfg(test)]
pub(crate) mod tests;
