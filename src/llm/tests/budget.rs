use super::*;
use proptest::prelude::*;

/// A dollar for each token.
const PRICE: Price = Price { cached: 0.0, prompt: 1e6, completion: 1e6 };

fn budget(cost_usd: f64, tokens: u64, calls: u32) -> Budget {
    let limits = BudgetLimits { cost_usd, tokens, calls, wall: None };
    Budget::new(limits, PRICE, (Usage::default(), 0.0, 0), Duration::ZERO)
}

fn refused(budget: &Budget, prompt: u64, wanted: u32) -> String {
    budget.take(prompt, wanted, LEAST).unwrap_err().to_string()
}

fn held(budget: &Budget, prompt: u64, wanted: u32, least: u32) -> Reservation {
    budget.take(prompt, wanted, least).unwrap().unwrap()
}

#[test]
fn what_is_put_aside_is_not_there_for_another_call() {
    let budget = budget(10_000.0, 1_000_000, 10);
    let first = held(&budget, 1000, 5000, LEAST);
    assert!(budget.take(3000, 2000, LEAST).unwrap().is_none());
    first.billed(Some(Tokens { prompt: 10, cached: 0, completion: 5 }));
    let words = refused(&budget, 9000, 2000);
    assert!(words.contains("dollars: the limit is 10000.0000, 15.0000 are spent or may be"), "{words}");
    assert!(words.contains("up to 11000.0000"), "{words}");
    held(&budget, 3000, 2000, LEAST);
    assert_eq!(
        budget.spent(),
        Usage { calls: 1, prompt_tokens: 10, cached_tokens: 0, completion_tokens: 5, cost_usd: 15.0 }
    );
}

#[test]
fn an_answers_limit_is_lowered_to_what_fits_but_not_below_the_least() {
    let dollars = budget(5000.0, 1_000_000, 10);
    assert_eq!(held(&dollars, 1000, 8000, LEAST).max_tokens(), 4000);
    assert_eq!(held(&dollars, 3976, 8000, LEAST).max_tokens(), 1024);
    refused(&dollars, 3977, 8000);
    // A smaller wish is not lowered at all.
    assert_eq!(held(&dollars, 4900, 100, LEAST).max_tokens(), 100);
    refused(&dollars, 4901, 100);
    assert!(dollars.take(1000, 8000, 8000).is_err());
    let tokens = budget(1e9, 5000, 10);
    assert_eq!(held(&tokens, 1000, 8000, LEAST).max_tokens(), 4000);
    assert!(
        refused(&tokens, 4500, 8000)
            .contains("tokens: the limit is 5000, 0 are spent or may be, and this call needs up to 12500")
    );
}

#[test]
fn calls_are_counted_with_those_under_way() {
    let budget = budget(1e9, 1_000_000, 2);
    let first = held(&budget, 1, 1, 1);
    let second = held(&budget, 1, 1, 1);
    assert!(budget.take(1, 1, 1).unwrap().is_none());
    second.unsent();
    first.free();
    let third = held(&budget, 1, 1, 1);
    assert!(budget.take(1, 1, 1).unwrap().is_none());
    third.free();
    assert!(refused(&budget, 1, 1).contains("calls: the limit of 2 is reached"));
}

#[test]
fn a_call_that_is_dropped_under_way_counts_as_lost() {
    let budget = budget(3000.0, 1_000_000, 10);
    drop(held(&budget, 1000, 1000, LEAST));
    let mut call = held(&budget, 1000, 1000, LEAST);
    call.send();
    drop(call);
    assert!(refused(&budget, 1000, 1000).contains("2000.0000 are spent or may be"));
    assert_eq!((budget.spent().calls, budget.spent().cost_usd), (1, 0.0));
    assert_eq!(budget.lost(), (2000.0, 2000));
}

#[test]
fn a_resumed_run_starts_with_what_it_spent_and_what_it_may_have() {
    let spent = Usage { calls: 3, prompt_tokens: 100, cached_tokens: 0, completion_tokens: 50, cost_usd: 150.0 };
    let limits = BudgetLimits { cost_usd: 1000.0, tokens: 1000, calls: 10, wall: None };
    let budget = Budget::new(limits, PRICE, (spent, 500.0, 500), Duration::ZERO);
    assert_eq!(budget.spent(), spent);
    assert!(refused(&budget, 300, 51).contains("tokens"));
    held(&budget, 300, 50, LEAST);
}

#[test]
fn an_answer_that_does_not_say_its_usage_is_billed_at_its_worst() {
    let budget = budget(1e9, 1_000_000, 10);
    let usage = held(&budget, 1000, 2000, LEAST).billed(None);
    assert_eq!(
        usage,
        Usage { calls: 1, prompt_tokens: 1000, cached_tokens: 0, completion_tokens: 2000, cost_usd: 3000.0 }
    );
    assert_eq!(budget.spent(), usage);
}

#[tokio::test(start_paused = true)]
async fn wall_time_runs_from_the_first_call_on() {
    let limits = BudgetLimits { wall: Some(Duration::from_secs(60)), ..BudgetLimits::default() };
    let budget = Budget::new(
        limits,
        Price { cached: 0.0, prompt: 0.0, completion: 0.0 },
        (Usage::default(), 0.0, 0),
        Duration::ZERO,
    );
    tokio::time::advance(Duration::from_secs(600)).await;
    drop(held(&budget, 1, 1, 1));
    tokio::time::advance(Duration::from_secs(59)).await;
    drop(held(&budget, 1, 1, 1));
    assert!(budget.may_wait(Duration::from_secs(2)).is_err());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(refused(&budget, 1, 1).contains("wall time: the limit of 60 s is reached"));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_run_that_is_resumed_counts_against_the_wall() {
    let limits = BudgetLimits { wall: Some(Duration::from_secs(60)), ..BudgetLimits::default() };
    let resumed = |before| Budget::new(limits.clone(), PRICE, (Usage::default(), 0.0, 0), Duration::from_secs(before));
    assert!(resumed(50).may_wait(Duration::from_secs(9)).is_ok());
    assert!(resumed(50).may_wait(Duration::from_secs(10)).is_err());
    assert!(refused(&resumed(61), 1, 1).contains("wall time: the limit of 60 s is reached"));
}

#[test]
fn threads_together_do_not_overrun() {
    let budget = budget(100.0, 1_000_000, 1000);
    let work = |_| {
        let budget = budget.clone();
        move || {
            (0..50)
                .filter_map(|_| budget.take(3, 4, 4).ok().flatten())
                .map(|held| held.billed(None).cost_usd)
                .sum::<f64>()
        }
    };
    let total: f64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|each| scope.spawn(work(each))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((total, budget.spent().cost_usd), (98.0, 98.0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fits_only_without_what_is_held_waits_for_its_turn_and_is_not_lowered() {
    let budget = budget(10_000.0, 1_000_000, 10);
    let first = held(&budget, 1000, 5000, LEAST);
    let wait = |prompt, wanted| {
        let budget = budget.clone();
        tokio::spawn(async move { budget.reserve(prompt, wanted, LEAST).await })
    };
    // The second would get 3000 of its 5000 now; the third fits, but it is not its turn.
    let second = wait(1000, 5000);
    tokio::task::yield_now().await;
    let third = wait(100, 100);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!second.is_finished() && !third.is_finished());
    first.free();
    let (second, third) = (second.await.unwrap().unwrap(), third.await.unwrap().unwrap());
    assert_eq!((second.max_tokens(), third.max_tokens()), (5000, 100));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_budget_ends_with_what_is_spent_meanwhile_and_with_the_wall_time() {
    let limits = BudgetLimits { cost_usd: 6000.0, tokens: 100_000, calls: 10, wall: Some(Duration::from_secs(60)) };
    let budget = Budget::new(limits, PRICE, (Usage::default(), 0.0, 0), Duration::ZERO);
    let first = held(&budget, 1000, 5000, LEAST);
    let error = budget.reserve(1000, 2000, LEAST).await.unwrap_err().to_string();
    assert!(error.contains("wall time: the limit of 60 s is reached"), "{error}");
    drop(first);
    let budget = self::budget(6000.0, 100_000, 10);
    let mut first = held(&budget, 1000, 5000, LEAST);
    first.send();
    let (error, ()) = tokio::join!(budget.reserve(1000, 2000, LEAST), async { drop(first) });
    assert!(error.unwrap_err().to_string().contains("6000.0000 are spent or may be"));
}

proptest! {
    #[test]
    fn no_order_of_calls_spends_more_than_the_limits(calls in proptest::collection::vec((0u64..500, 1u32..4000, 0u8..5), 0..60)) {
        let budget = budget(9000.0, 8000, 20);
        let mut held = Vec::new();
        for (prompt, wanted, ending) in calls {
            let Ok(Some(mut call)) = budget.take(prompt, wanted, LEAST) else { continue };
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
