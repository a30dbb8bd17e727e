use super::{tests::*, *};
use crate::detect::{Category, Key};
#[tokio::test]
#[ignore]
async fn by_hand() {
    let root = std::path::PathBuf::from(std::env::var("CASE_ROOT").unwrap());
    let spec: serde_json::Value = serde_json::from_str(&std::env::var("CASE_FAILURES").unwrap()).unwrap();
    let text = |v: &serde_json::Value, k: &str| v[k].as_str().map(str::to_owned);
    let failures: Vec<Failure> = spec
        .as_array()
        .unwrap()
        .iter()
        .map(|v| {
            let message = text(v, "message").unwrap_or_default();
            let key = if let Some(rule) = text(v, "rule") {
                Key::Finding { file: text(v, "file").unwrap(), rule, symbol: None }
            } else if let Some(name) = text(v, "missing") {
                Key::Missing { name }
            } else {
                Key::Message { file: text(v, "file"), message: message.clone() }
            };
            let category = match v["category"].as_str().unwrap() {
                "quality" => Category::Quality,
                _ => Category::ImportDependency,
            };
            Failure {
                file: text(v, "file"),
                line: v["line"].as_u64().map(|l| l as u32),
                command: text(v, "command"),
                python: std::env::var("CASE_PYTHON").ok(),
                ..failure(category, v["tool"].as_str().unwrap(), &message, key)
            }
        })
        .collect();
    let registry = Registry::new(&std::env::var("CASE_INDEX").unwrap()).unwrap();
    let workspace = Plain { root, path: std::env::var("CASE_PATH").unwrap() };
    let install = [std::env::var("CASE_INSTALL").unwrap()];
    let context = RuleContext {
        workspace: &workspace,
        failures: &failures,
        install: &install,
        installed: &[],
        workdir: ".",
        registry: &registry,
    };
    println!("{:#?}", repair(&context).await);
}
