use super::*;
use proptest::prelude::*;

/// A dollar for each token.
const PRICE: Price = Price { cached: 0.0, prompt: 1e6, completion: 1e6 };

fn budget(cost_usd: f64, tokens: u64, calls: u32) -> Budget {
    let limits = BudgetLimits { cost_usd, tokens, calls, wall: None };
    Budget::new(limits, PRICE, Usage::default(), 0.0, 0)
}

fn refused(budget: &Budget, prompt: u64, wanted: u32) -> String {
    budget.reserve(prompt, wanted, LEAST).unwrap_err().to_string()
}

#[test]
fn what_is_put_aside_is_not_there_for_another_call() {
    let budget = budget(10_000.0, 1_000_000, 10);
    let first = budget.reserve(1000, 5000, LEAST).unwrap();
    let words = refused(&budget, 3000, 2000);
    assert!(words.contains("dollars: the limit is 10000.0000, 6000.0000 are spent or held"), "{words}");
    assert!(words.contains("up to 5000.0000"), "{words}");
    first.billed(Some(Tokens { prompt: 10, cached: 0, completion: 5 }));
    assert!(budget.reserve(3000, 2000, LEAST).is_ok());
    assert_eq!(
        budget.spent(),
        Usage { calls: 1, prompt_tokens: 10, cached_tokens: 0, completion_tokens: 5, cost_usd: 15.0 }
    );
}

#[test]
fn an_answers_limit_is_lowered_to_what_fits_but_not_below_the_least() {
    let dollars = budget(5000.0, 1_000_000, 10);
    assert_eq!(dollars.reserve(1000, 8000, LEAST).unwrap().max_tokens(), 4000);
    assert_eq!(dollars.reserve(3976, 8000, LEAST).unwrap().max_tokens(), 1024);
    refused(&dollars, 3977, 8000);
    // A smaller wish is not lowered at all.
    assert_eq!(dollars.reserve(4900, 100, LEAST).unwrap().max_tokens(), 100);
    refused(&dollars, 4901, 100);
    assert!(dollars.reserve(1000, 8000, 8000).is_err());
    let tokens = budget(1e9, 5000, 10);
    assert_eq!(tokens.reserve(1000, 8000, LEAST).unwrap().max_tokens(), 4000);
    assert!(
        refused(&tokens, 4500, 8000)
            .contains("tokens: the limit is 5000, 0 are spent or held, and this call needs up to 12500")
    );
}

#[test]
fn calls_are_counted_with_those_under_way() {
    let budget = budget(1e9, 1_000_000, 2);
    let first = budget.reserve(1, 1, 1).unwrap();
    let second = budget.reserve(1, 1, 1).unwrap();
    assert!(refused(&budget, 1, 1).contains("calls: the limit of 2 is reached"));
    second.unsent();
    first.free();
    let third = budget.reserve(1, 1, 1).unwrap();
    assert!(budget.reserve(1, 1, 1).is_err());
    drop(third);
    assert_eq!(budget.spent().calls, 1);
}

#[test]
fn a_call_that_is_dropped_under_way_counts_as_lost() {
    let budget = budget(3000.0, 1_000_000, 10);
    drop(budget.reserve(1000, 1000, LEAST).unwrap());
    let mut call = budget.reserve(1000, 1000, LEAST).unwrap();
    call.send();
    drop(call);
    assert!(refused(&budget, 1000, 1000).contains("2000.0000 are spent or held"));
    assert_eq!((budget.spent().calls, budget.spent().cost_usd), (1, 0.0));
}

#[test]
fn a_resumed_run_starts_with_what_it_spent_and_what_it_may_have() {
    let spent = Usage { calls: 3, prompt_tokens: 100, cached_tokens: 0, completion_tokens: 50, cost_usd: 150.0 };
    let limits = BudgetLimits { cost_usd: 1000.0, tokens: 1000, calls: 10, wall: None };
    let budget = Budget::new(limits, PRICE, spent, 500.0, 500);
    assert_eq!(budget.spent(), spent);
    assert!(refused(&budget, 300, 51).contains("tokens"));
    assert!(budget.reserve(300, 50, LEAST).is_ok());
}

#[test]
fn an_answer_that_does_not_say_its_usage_is_billed_at_its_worst() {
    let budget = budget(1e9, 1_000_000, 10);
    let usage = budget.reserve(1000, 2000, LEAST).unwrap().billed(None);
    assert_eq!(
        usage,
        Usage { calls: 1, prompt_tokens: 1000, cached_tokens: 0, completion_tokens: 2000, cost_usd: 3000.0 }
    );
    assert_eq!(budget.spent(), usage);
}

#[tokio::test(start_paused = true)]
async fn wall_time_runs_from_the_first_call_on() {
    let limits = BudgetLimits { wall: Some(Duration::from_secs(60)), ..BudgetLimits::default() };
    let budget = Budget::new(limits, Price { cached: 0.0, prompt: 0.0, completion: 0.0 }, Usage::default(), 0.0, 0);
    tokio::time::advance(Duration::from_secs(600)).await;
    drop(budget.reserve(1, 1, 1).unwrap());
    tokio::time::advance(Duration::from_secs(59)).await;
    drop(budget.reserve(1, 1, 1).unwrap());
    assert!(budget.may_wait(Duration::from_secs(2)).is_err());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(refused(&budget, 1, 1).contains("wall time: the limit of 60 s is reached"));
}

#[test]
fn threads_together_do_not_overrun() {
    let budget = budget(100.0, 1_000_000, 1000);
    let work = |_| {
        let budget = budget.clone();
        move || (0..50).filter_map(|_| budget.reserve(3, 4, 4).ok()).map(|held| held.billed(None).cost_usd).sum::<f64>()
    };
    let total: f64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|each| scope.spawn(work(each))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((total, budget.spent().cost_usd), (98.0, 98.0));
}

proptest! {
    #[test]
    fn no_order_of_calls_spends_more_than_the_limits(calls in proptest::collection::vec((0u64..500, 1u32..4000, 0u8..5), 0..60)) {
        let budget = budget(9000.0, 8000, 20);
        let mut held = Vec::new();
        for (prompt, wanted, ending) in calls {
            let Ok(mut call) = budget.reserve(prompt, wanted, LEAST) else { continue };
            prop_assert!(call.max_tokens() <= wanted && call.max_tokens() >= wanted.min(LEAST));
            call.send();
            match ending {
                0 => { call.free(); }
                1 => call.unsent(),
                2 => drop(call),
                3 => { call.billed(None); }
                _ => held.push(call),
            }
        }
        for call in held {
            call.billed(None);
        }
        let spent = budget.spent();
        prop_assert!(spent.cost_usd <= 9000.0 && spent.prompt_tokens + spent.completion_tokens <= 8000 && spent.calls <= 20);
    }
}
