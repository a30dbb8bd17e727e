//! price: what tokens cost. The list is data (`data/prices.json`), with its date and its source, at peak rates: a budget
//! must hold at any hour, so every cost that is told is the cost at the peak rate, an upper bound of the bill.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

use super::{chat::Usage, options::Price, wire::Tokens};

#[derive(Deserialize)]
struct List {
    as_of: String,
    source: String,
    models: BTreeMap<String, Price>,
    retired: BTreeMap<String, String>,
}

static LIST: LazyLock<Option<List>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../data/prices.json")).ok());

/// What the bundled list says of a model.
pub fn price_of(model: &str) -> Option<Price> {
    LIST.as_ref()?.models.get(model).copied()
}

/// The model that took a retired one's place.
pub fn replacement_of(model: &str) -> Option<&'static str> {
    LIST.as_ref()?.retired.get(model).map(String::as_str)
}

/// The date of the bundled list, and where it is from; empty where there is none.
pub fn list_date() -> (&'static str, &'static str) {
    LIST.as_ref().map_or(("", ""), |list| (list.as_of.as_str(), list.source.as_str()))
}

/// The models that the bundled list knows.
pub fn known_models() -> Vec<&'static str> {
    LIST.iter().flat_map(|list| list.models.keys().map(String::as_str)).collect()
}

impl Price {
    /// One call's usage, priced.
    pub(super) fn usage(&self, tokens: Tokens) -> Usage {
        let missed = tokens.prompt.saturating_sub(tokens.cached);
        let cost = [(tokens.cached, self.cached), (missed, self.prompt), (tokens.completion, self.completion)];
        Usage {
            calls: 1,
            prompt_tokens: tokens.prompt,
            cached_tokens: tokens.cached,
            completion_tokens: tokens.completion,
            cost_usd: cost.iter().map(|(tokens, price)| *tokens as f64 * price / 1e6).sum(),
        }
    }

    /// The most that these tokens can cost, whatever the endpoint's cache has.
    pub(super) fn worst(&self, prompt: u64, completion: u64) -> Usage {
        let dearest = Price { prompt: self.prompt.max(self.cached), ..*self };
        dearest.usage(Tokens { prompt, cached: 0, completion })
    }

    /// Three numbers that can be reckoned with.
    pub(super) fn is_sane(&self) -> bool {
        [self.cached, self.prompt, self.completion].iter().all(|price| price.is_finite() && *price >= 0.0)
    }

    /// Costs nothing at all.
    pub(super) fn is_free(&self) -> bool {
        self.cached == 0.0 && self.prompt == 0.0 && self.completion == 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_list_has_a_date_a_source_and_the_peak_prices() {
        let (date, source) = list_date();
        assert_eq!(date.len(), 10);
        assert!(source.starts_with("https://"));
        assert_eq!(price_of("deepseek-flash"), Some(Price { cached: 0.006, prompt: 0.3, completion: 1.2 }));
        assert_eq!(price_of("deepseek-v4-flash"), price_of("deepseek-flash"));
        assert_eq!(price_of("deepseek-v4-pro"), Some(Price { cached: 0.044, prompt: 1.32, completion: 3.96 }));
        assert_eq!(price_of("gpt-unheard-of"), None);
        assert!(known_models().iter().all(|model| price_of(model).is_some_and(|price| price.is_sane())));
    }

    #[test]
    fn a_retired_model_names_one_that_has_a_price() {
        for retired in ["deepseek-chat", "deepseek-reasoner"] {
            assert!(price_of(replacement_of(retired).unwrap()).is_some());
            assert_eq!(price_of(retired), None);
        }
    }

    #[test]
    fn cached_tokens_cost_their_own_price_and_the_worst_knows_no_cache() {
        let price = Price { cached: 1.0, prompt: 10.0, completion: 100.0 };
        let usage = price.usage(Tokens { prompt: 1_000_000, cached: 400_000, completion: 10_000 });
        assert!((usage.cost_usd - (0.4 + 6.0 + 1.0)).abs() < 1e-9, "{usage:?}");
        assert!((price.worst(1_000_000, 10_000).cost_usd - 11.0).abs() < 1e-9);
        assert!((Price { cached: 20.0, ..price }.worst(1_000_000, 0).cost_usd - 20.0).abs() < 1e-9);
    }
}
